// Effects get an order that the other passes cannot but keep: a value, the token, is handed from
// each to the next, through loops and branches, and out of the program as its last result. To all
// that follows, effects are ordinary nodes whose results are read.
#include "core/ops/callback.h"
#include "core/passes/open_scan.h"
#include "core/passes/passes.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

/// Whence a graph has its first token.
enum class Token { kConstant, kInput };

Graph threaded(const Graph& source, Token first);

std::vector<int64_t> moved(size_t count, size_t from, size_t to) {
  std::vector<int64_t> order = range(0, count);
  order.erase(order.begin() + static_cast<int64_t>(from));
  order.insert(order.begin() + static_cast<int64_t>(to), static_cast<int64_t>(from));
  return order;
}

template <class T>
void insert_at(std::vector<T>& list, size_t place, T value) {
  list.insert(list.begin() + static_cast<int64_t>(place), value);
}

/// Hands the token through the nodes of one graph.
class Threader {
 public:
  Threader(Graph& graph, ValueId token) : graph_(graph), token_(token) {}

  ValueId run() {
    std::vector<Graph::Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Graph::Node& node : nodes) {
      if (has_effects(node)) thread(node);
      graph_.nodes.push_back(std::move(node));
    }
    return token_;
  }

 private:
  void thread(Graph::Node& node) {
    if (is_effect(*node.primitive)) {
      CallbackParams p = node.params.as<CallbackParams>();
      p.token = true;
      pass(node, Params(p), node.inputs.size(), node.outputs.size());
    } else if (node.primitive == &scan_primitive()) {
      thread_scan(node);
    } else if (node.primitive == &while_primitive()) {
      thread_while(node);
    } else if (node.primitive == &cond_primitive()) {
      CondParams p = node.params.as<CondParams>();
      for (ProgramPtr& branch : p.branches)
        branch = std::make_shared<Program>(threaded(branch->graph(), Token::kInput));
      pass(node, Params(p), node.inputs.size(), node.outputs.size());
    }
  }

  /// The token becomes an operand and a result of the node, at these places.
  void pass(Graph::Node& node, Params params, size_t operand, size_t result) {
    node.params = std::move(params);
    insert_at(node.inputs, operand, token_);
    token_ = graph_.add_value(kTokenType);
    insert_at(node.outputs, result, token_);
  }

  /// A carry more, the last one.
  void thread_scan(Graph::Node& node) {
    ScanParams p = node.params.as<ScanParams>();
    const Graph body = threaded(p.body->graph(), Token::kInput);
    const size_t carries = static_cast<size_t>(p.carries);
    const size_t operand = static_cast<size_t>(p.constants) + carries;
    p.body = std::make_shared<Program>(
        rearranged(body, moved(body.inputs.size(), body.inputs.size() - 1, operand),
                   moved(body.outputs.size(), body.outputs.size() - 1, carries)));
    ++p.carries;
    pass(node, Params(p), operand, carries);
  }

  /// A carry more, which the condition does not read.
  void thread_while(Graph::Node& node) {
    WhileParams p = node.params.as<WhileParams>();
    if (has_effects(p.condition->graph())) ask_beforehand(node, p);
    const Graph& condition = p.condition->graph();
    std::vector<int64_t> inputs = range(0, condition.inputs.size());
    inputs.push_back(-1);
    p.condition = std::make_shared<Program>(rearranged(condition, inputs, {0}, {kTokenType}));
    p.body = std::make_shared<Program>(threaded(p.body->graph(), Token::kInput));
    pass(node, Params(p), node.inputs.size(), node.outputs.size());
  }

  /// A condition with effects gives no token. It is asked before the loop and at the end of each
  /// turn instead, and what it said is carried.
  void ask_beforehand(Graph::Node& node, WhileParams& p) {
    const Graph condition = threaded(p.condition->graph(), Token::kInput);
    const size_t constants = static_cast<size_t>(p.condition_constants);
    const size_t first_carry = constants + static_cast<size_t>(p.body_constants);
    std::vector<ValueId> operands(node.inputs.begin(), node.inputs.begin() + p.condition_constants);
    operands.insert(operands.end(), node.inputs.begin() + static_cast<int64_t>(first_carry),
                    node.inputs.end());
    operands.push_back(token_);
    const std::vector<ValueId> said = append(graph_, graph_.nodes, condition, operands);
    node.inputs.push_back(said[0]);
    token_ = said[1];
    const TensorType flag = condition.types[condition.outputs[0]];
    node.outputs.push_back(graph_.add_value(flag));

    p.body = asking_body(p);
    p.body_constants += p.condition_constants;
    p.condition_constants = 0;
    TypeList types = result_types(p.body->graph());
    Graph test;
    for (const TensorType& type : types) test.inputs.push_back(test.add_value(type));
    test.outputs = {test.inputs.back()};
    p.condition = std::make_shared<Program>(std::move(test));
  }

  /// (constants of the condition, constants of the body, carry, what it said) -> (carry, what it
  /// says).
  static ProgramPtr asking_body(const WhileParams& p) {
    const Graph &condition = p.condition->graph(), &body = p.body->graph();
    Graph out;
    std::vector<ValueId> asked, turned;
    for (int64_t i = 0; i < p.condition_constants; ++i) {
      asked.push_back(out.add_value(condition.types[condition.inputs[static_cast<size_t>(i)]]));
      out.inputs.push_back(asked.back());
    }
    for (ValueId id : body.inputs) {
      turned.push_back(out.add_value(body.types[id]));
      out.inputs.push_back(turned.back());
    }
    out.inputs.push_back(out.add_value(condition.types[condition.outputs[0]]));
    out.outputs = append(out, out.nodes, body, turned);
    asked.insert(asked.end(), out.outputs.begin(), out.outputs.end());
    out.outputs.push_back(append(out, out.nodes, condition, asked)[0]);
    return std::make_shared<Program>(std::move(out));
  }

  Graph& graph_;
  ValueId token_;
};

Graph threaded(const Graph& source, Token first) {
  Graph out = inline_control(source);
  const ValueId token = out.add_value(kTokenType);
  if (first == Token::kInput)
    out.inputs.push_back(token);
  else
    out.constants.emplace_back(token, scalar(0, DType::kBool));
  out.outputs.push_back(Threader(out, token).run());
  return out;
}

}  // namespace

Graph order_effects(const Graph& graph) {
  return has_effects(graph) ? threaded(graph, Token::kConstant) : graph;
}

}  // namespace linnet
