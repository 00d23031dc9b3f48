#include "core/passes/rewriter.h"

#include "core/ops/activation.h"
#include "core/ops/shape_ops.h"
#include "core/passes/passes.h"
#include "linnet/detail/format.h"

namespace linnet {

Rewriter::Rewriter(Graph& graph)
    : graph_(graph), replaced_(graph), made_by_(graph.types.size(), -1) {
  for (const auto& [id, value] : graph.constants) constants_.emplace(id, value);
}

bool Rewriter::run(std::span<const Rule> rules, bool repeat) {
  bool changed = false;
  std::vector<Graph::Node> nodes = std::move(graph_.nodes);
  graph_.nodes.clear();
  for (Graph::Node& node : nodes) {
    for (ValueId& id : node.inputs) id = replaced_.find(id);
    dropped_ = false;
    for (size_t r = 0; r < rules.size() && !dropped_;) {
      if (!rules[r].apply(*this, node)) {
        ++r;
        continue;
      }
      changed = true;
      if (!repeat) break;
      r = 0;
    }
    if (!dropped_) append(std::move(node));
  }
  graph_.nodes.assign(std::make_move_iterator(done_.begin()), std::make_move_iterator(done_.end()));
  replaced_.apply(graph_);
  return changed;
}

void Rewriter::append(Graph::Node node) {
  made_by_.resize(graph_.types.size(), -1);
  for (ValueId id : node.outputs) made_by_[id] = static_cast<int32_t>(done_.size());
  if (node.primitive == &relu_primitive()) relus_.try_emplace(node.inputs[0], node.outputs[0]);
  done_.push_back(std::move(node));
}

const Graph::Node* Rewriter::producer(ValueId id) const {
  const int32_t index = static_cast<size_t>(id) < made_by_.size() ? made_by_[id] : -1;
  return index < 0 ? nullptr : &done_[static_cast<size_t>(index)];
}

ValueId Rewriter::operand_of(ValueId id, const Primitive& primitive) const {
  const Graph::Node* node = producer(id);
  return node && node->primitive == &primitive ? node->inputs[0] : -1;
}

const Tensor* Rewriter::number(ValueId id) const {
  for (const Graph::Node* node = producer(id); node; node = producer(id)) {
    if (node->primitive != &broadcast_in_dim_primitive() && node->primitive != &reshape_primitive())
      return nullptr;
    id = node->inputs[0];
  }
  const auto found = constants_.find(id);
  return found != constants_.end() && found->second.shape().empty() ? &found->second : nullptr;
}

ValueId Rewriter::relu_of(ValueId id) const {
  const auto found = relus_.find(id);
  return found == relus_.end() ? -1 : found->second;
}

ValueId Rewriter::emit(const Primitive& primitive, ParamsRef params, std::vector<ValueId> inputs,
                       TensorType type, const std::string& path) {
  const ValueId id = graph_.add_value(std::move(type));
  append({&primitive, Params(params), std::move(inputs), {id}, path});
  return id;
}

ValueId Rewriter::constant(const Tensor& value) {
  const ValueId id = graph_.add_value(value.type());
  graph_.constants.emplace_back(id, value);
  constants_.emplace(id, value);
  return id;
}

bool Rewriter::replace(Graph::Node& node, ValueId by) {
  if (graph_.types[by] != graph_.types[node.outputs[0]]) return false;
  replaced_.set(node.outputs[0], by);
  dropped_ = true;
  return true;
}

bool simplify(Graph& graph) { return Rewriter(graph).run(rewrite_rules(), true); }

std::vector<std::string_view> rule_names() {
  std::vector<std::string_view> names;
  for (const Rewriter::Rule& rule : rewrite_rules()) names.push_back(rule.name);
  return names;
}

bool apply_rule(std::string_view name, Graph& graph) {
  for (const Rewriter::Rule& rule : rewrite_rules()) {
    if (rule.name == name) return Rewriter(graph).run({&rule, 1}, false);
  }
  fail<ValueError>("apply_rule: there is no rule named {}", name);
}

}  // namespace linnet
