#include "core/control/recomputation.h"

#include <algorithm>
#include <memory>

#include "core/control/loops.h"
#include "core/ops/arithmetic.h"
#include "core/ops/callback.h"
#include "core/ops/conv.h"
#include "core/ops/dot.h"
#include "core/ops/scaled_dot.h"

namespace linnet {
namespace {

using Kind = CheckpointPolicy::Kind;

bool is_product(const Graph::Node& node) {
  const Primitive* p = node.primitive;
  return p == &dot_general_primitive() || p == &scaled_dot_primitive() || p == &conv_primitive() ||
         p == &conv_backward_data_primitive() || p == &conv_backward_weights_primitive();
}

bool has_batch(const Graph& graph, const Graph::Node& node) {
  if (node.primitive == &dot_general_primitive())
    return !node.params.as<DotParams>().lhs_batch.empty();
  return node.primitive == &scaled_dot_primitive() && graph.types[node.inputs[0]].shape.size() > 2;
}

bool keeps(const CheckpointPolicy::Rule& rule, const Graph& graph, const Graph::Node& node) {
  const bool named = node.primitive == &checkpoint_name_primitive();
  const bool listed =
      named && std::find(rule.names.begin(), rule.names.end(),
                         node.params.as<CheckpointNameParams>().name) != rule.names.end();
  switch (rule.kind) {
    case Kind::kEverything:
      return true;
    case Kind::kDots:
      return is_product(node);
    case Kind::kDotsWithoutBatch:
      return is_product(node) && !has_batch(graph, node);
    case Kind::kNames:
      return listed;
    case Kind::kOtherNames:
      return named && !listed;
    case Kind::kAllButNames:
      return !listed;
  }
  return false;
}

/// Whether values that no operation of the program computes, as the carry of a loop, may be kept.
bool keeps_anything(const CheckpointPolicy& policy) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [](const auto& rule) {
    return rule.kind == Kind::kEverything || rule.kind == Kind::kAllButNames;
  });
}

const ScanParams* scan_of(const Graph::Node& node) {
  return node.primitive == &scan_primitive() ? &node.params.as<ScanParams>() : nullptr;
}

/// Of each value of a program: the node that computes it, the value that stands for it, and whether
/// the policy allows to keep it. What a loop gives, and its turns stack, is allowed as in its body.
struct Marks {
  Marks(const Graph& graph, const CheckpointPolicy& policy)
      : producer(graph.types.size(), -1),
        same(graph.types.size()),
        allowed(graph.types.size(), keeps_anything(policy)) {
    for (size_t id = 0; id < same.size(); ++id) same[id] = static_cast<ValueId>(id);
    for (size_t n = 0; n < graph.nodes.size(); ++n) mark(graph, n, policy);
  }

  std::vector<int64_t> producer;  ///< -1: operands and constants
  std::vector<ValueId> same;
  std::vector<uint8_t> allowed;

 private:
  void mark(const Graph& graph, size_t n, const CheckpointPolicy& policy) {
    const Graph::Node& node = graph.nodes[n];
    // What has an effect is not done again.
    const bool keep = is_effect(*node.primitive) ||
                      std::any_of(policy.rules.begin(), policy.rules.end(),
                                  [&](const auto& rule) { return keeps(rule, graph, node); });
    for (ValueId id : node.outputs) {
      producer[id] = static_cast<int64_t>(n);
      allowed[id] = keep;
    }
    if (const ScanParams* scan = scan_of(node)) {
      const Graph& body = scan->body->graph();
      const Marks inside(body, policy);
      for (size_t k = 0; k < node.outputs.size(); ++k)
        allowed[node.outputs[k]] = inside.allowed[inside.same[body.outputs[k]]];
    }
    if (!keep || node.primitive != &checkpoint_name_primitive()) return;
    // With and without its name it is one value.
    const ValueId value = same[node.inputs[0]];
    same[node.outputs[0]] = value;
    allowed[value] = 1;
  }
};

std::vector<size_t> positions_from(size_t first, size_t last) {
  std::vector<size_t> out;
  for (size_t k = first; k < last; ++k) out.push_back(k);
  return out;
}

/// Divides the nodes of a program for the sake of some of its results. Of a loop that is run again
/// the values that the policy allows are stacked the first time, and then read.
class Division {
 public:
  Division(const Graph& graph, const CheckpointPolicy& policy, std::vector<size_t> wanted)
      : graph_(graph),
        policy_(policy),
        wanted_(std::move(wanted)),
        marks_(graph, policy),
        seen_(graph.types.size(), 0),
        again_(graph.nodes.size(), 0) {
    for (size_t k : wanted_) want(graph.outputs[k]);
    // Whoever reads a value comes behind the node that computes it.
    for (size_t n = graph.nodes.size(); n-- > 0;) run_again_if_needed(n);
  }

  bool keeps_nothing() const { return kept_.empty(); }

  /// The first results, then what is kept.
  Graph forward(size_t results) const {
    Graph out = graph_;
    out.outputs.resize(results);
    std::vector<ValueId> slabs;
    for (const Loop& loop : loops_) {
      Graph::Node& node = out.nodes[loop.node];
      ScanParams params = *scan_of(graph_.nodes[loop.node]);
      const Graph& body = params.body->graph();
      Graph stacking = loop.inside->forward(body.outputs.size());
      const std::vector<ValueId> kept(
          stacking.outputs.begin() + static_cast<int64_t>(body.outputs.size()),
          stacking.outputs.end());
      stacking.outputs.resize(body.outputs.size());
      for (size_t k = 0; k < kept.size(); ++k) {
        if (!loop.sources[k].in_loop) continue;
        stacking.outputs.push_back(kept[k]);
        slabs.push_back(out.add_value(loop.sources[k].type));
        node.outputs.push_back(slabs.back());
      }
      params.body = std::make_shared<Program>(std::move(stacking));
      node.params = Params(params);
    }
    for (const Kept& kept : kept_)
      out.outputs.push_back(kept.in_loop ? slabs[static_cast<size_t>(kept.id)] : kept.id);
    return out;
  }

  /// From the operands and what was kept to the results that were wanted.
  Graph again() const {
    Graph out;
    out.types = graph_.types;
    out.constants = graph_.constants;
    out.inputs = graph_.inputs;
    std::vector<ValueId> here = marks_.same, slabs;
    // A kept value may be one of several results of a node that is run again.
    for (const Kept& kept : kept_) {
      const ValueId given = out.add_value(kept.type);
      out.inputs.push_back(given);
      if (kept.in_loop)
        slabs.push_back(given);
      else
        here[kept.id] = given;
    }
    const auto at = [&](ValueId id) { return here[marks_.same[id]]; };
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!again_[n]) continue;
      out.nodes.push_back(graph_.nodes[n]);
      Graph::Node& node = out.nodes.back();
      for (ValueId& id : node.inputs) id = at(id);
      if (const Loop* loop = loop_at(n)) reads_what_was_stacked(*loop, here, slabs, node);
    }
    for (size_t k : wanted_) out.outputs.push_back(at(graph_.outputs[k]));
    return out;
  }

 private:
  /// A value, or the number of a slab that a loop stacks for this alone.
  struct Kept {
    ValueId id;
    bool in_loop;
    TensorType type;
  };
  /// A loop that is run again, of whose body something is kept.
  struct Loop {
    size_t node;
    std::unique_ptr<const Division> inside;
    std::vector<Kept> sources = {};  ///< of what is kept inside, one after the other
  };

  const Loop* loop_at(size_t n) const {
    for (const Loop& loop : loops_) {
      if (loop.node == n) return &loop;
    }
    return nullptr;
  }

  void want(ValueId id) {
    const ValueId value = marks_.same[id];
    if (seen_[value]) return;
    seen_[value] = 1;
    if (marks_.producer[value] >= 0 && marks_.allowed[value])
      kept_.push_back({value, false, graph_.types[value]});
  }
  /// Wanted, and not kept.
  bool needed(ValueId id) const {
    return marks_.same[id] == id && seen_[id] && !marks_.allowed[id];
  }

  void run_again_if_needed(size_t n) {
    const Graph::Node& node = graph_.nodes[n];
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return needed(id); }))
      return;
    again_[n] = 1;
    if (cut_loop(n)) return;
    for (ValueId id : node.inputs) want(id);
  }

  /// @return whether anything of the body is kept.
  bool cut_loop(size_t n) {
    const Graph::Node& node = graph_.nodes[n];
    const ScanParams* scan = scan_of(node);
    if (!scan) return false;
    // The carry has to go on whatever is wanted.
    const auto carries = static_cast<size_t>(scan->carries);
    std::vector<size_t> wanted = positions_from(0, carries);
    for (size_t k = carries; k < node.outputs.size(); ++k) {
      if (needed(node.outputs[k])) wanted.push_back(k);
    }
    const Graph& body = scan->body->graph();
    auto inside = std::make_unique<const Division>(body, policy_, std::move(wanted));
    if (inside->keeps_nothing()) return false;
    Loop& loop = loops_.emplace_back(Loop{n, std::move(inside)});
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (reads(loop, i)) want(node.inputs[i]);
    }
    for (const Kept& kept : loop.inside->kept_) {
      TensorType type = kept.type;
      type.shape.insert(0, scan->length);
      if (const int64_t k = stacked_already(loop, kept); k >= 0) {
        const ValueId slab = node.outputs[static_cast<size_t>(k)];
        want(slab);
        loop.sources.push_back({slab, false, std::move(type)});
      } else {
        loop.sources.push_back({static_cast<ValueId>(slabs_++), true, std::move(type)});
        kept_.push_back(loop.sources.back());
      }
    }
    return true;
  }

  /// The result of a loop that is the stack of what is kept inside, or -1.
  int64_t stacked_already(const Loop& loop, const Kept& kept) const {
    const ScanParams& scan = *scan_of(graph_.nodes[loop.node]);
    const Graph& body = scan.body->graph();
    for (auto k = static_cast<size_t>(scan.carries); k < body.outputs.size(); ++k) {
      if (!kept.in_loop && loop.inside->marks_.same[body.outputs[k]] == kept.id)
        return static_cast<int64_t>(k);
    }
    return -1;
  }

  /// Whether the second run of a loop reads an operand.
  bool reads(const Loop& loop, size_t operand) const {
    const ScanParams& scan = *scan_of(graph_.nodes[loop.node]);
    const auto first = static_cast<size_t>(scan.constants);
    const bool carried = operand >= first && operand < first + static_cast<size_t>(scan.carries);
    return carried || loop.inside->seen_[scan.body->graph().inputs[operand]];
  }

  void reads_what_was_stacked(const Loop& loop, const std::vector<ValueId>& here,
                              const std::vector<ValueId>& slabs, Graph::Node& node) const {
    ScanParams params = *scan_of(graph_.nodes[loop.node]);
    Graph body = loop.inside->again();
    std::vector<ValueId> operands, inputs, outputs;
    const size_t count = node.inputs.size();
    for (size_t i = 0; i < count; ++i) {
      if (reads(loop, i)) {
        operands.push_back(node.inputs[i]);
        inputs.push_back(body.inputs[i]);
      } else if (i < static_cast<size_t>(scan_of(graph_.nodes[loop.node])->constants)) {
        --params.constants;
      }
    }
    for (size_t k = 0; k < loop.inside->kept_.size(); ++k) {
      const Kept& source = loop.sources[k];
      operands.push_back(source.in_loop ? slabs[static_cast<size_t>(source.id)] : here[source.id]);
      inputs.push_back(body.inputs[count + k]);
    }
    for (size_t k : loop.inside->wanted_) outputs.push_back(node.outputs[k]);
    body.inputs = std::move(inputs);
    params.body = std::make_shared<Program>(std::move(body));
    node.inputs = std::move(operands);
    node.outputs = std::move(outputs);
    node.params = Params(params);
  }

  const Graph& graph_;
  const CheckpointPolicy& policy_;
  std::vector<size_t> wanted_;  ///< among the outputs
  Marks marks_;
  std::vector<uint8_t> seen_, again_;
  std::vector<Kept> kept_;
  std::vector<Loop> loops_;
  size_t slabs_ = 0;
};

}  // namespace

Recomputation recomputation_of(const ProgramPtr& program, const std::vector<uint8_t>& active,
                               const CheckpointPolicy& policy) {
  const Program::Vjp vjp = program->vjp(active);
  const Graph& forward = vjp.forward->graph();
  const size_t results = program->graph().outputs.size();
  const Division division(forward, policy, positions_from(results, forward.outputs.size()));
  return {division.keeps_nothing() ? program : std::make_shared<Program>(division.forward(results)),
          std::make_shared<Program>(division.again()), vjp.backward};
}

const char* name_of(CheckpointPolicy::Kind kind) {
  switch (kind) {
    case Kind::kEverything:
      return "everything";
    case Kind::kDots:
      return "dots";
    case Kind::kDotsWithoutBatch:
      return "dots_without_batch";
    case Kind::kNames:
      return "names";
    case Kind::kOtherNames:
      return "other_names";
    case Kind::kAllButNames:
      return "all_but_names";
  }
  return "";
}

namespace checkpoint_policies {

CheckpointPolicy everything_saveable() { return {{{Kind::kEverything}}}; }
CheckpointPolicy nothing_saveable() { return {}; }
CheckpointPolicy dots_saveable() { return {{{Kind::kDots}}}; }
CheckpointPolicy dots_with_no_batch_dims_saveable() { return {{{Kind::kDotsWithoutBatch}}}; }
CheckpointPolicy save_only_these_names(std::vector<std::string> names) {
  return {{{Kind::kNames, std::move(names)}}};
}
CheckpointPolicy save_any_names_but_these(std::vector<std::string> names) {
  return {{{Kind::kOtherNames, std::move(names)}}};
}
CheckpointPolicy save_anything_except_these_names(std::vector<std::string> names) {
  return {{{Kind::kAllButNames, std::move(names)}}};
}
CheckpointPolicy save_from_both_policies(CheckpointPolicy a, const CheckpointPolicy& b) {
  a.rules.insert(a.rules.end(), b.rules.begin(), b.rules.end());
  return a;
}

}  // namespace checkpoint_policies

}  // namespace linnet
