#include "core/control/recomputation.h"

#include <algorithm>

#include "core/ops/arithmetic.h"
#include "core/ops/conv.h"
#include "core/ops/dot.h"

namespace linnet {
namespace {

using Kind = CheckpointPolicy::Kind;

bool is_product(const Graph::Node& node) {
  const Primitive* p = node.primitive;
  return p == &dot_general_primitive() || p == &conv_primitive() ||
         p == &conv_backward_data_primitive() || p == &conv_backward_weights_primitive();
}

bool keeps(const CheckpointPolicy::Rule& rule, const Graph::Node& node) {
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
      return is_product(node) && (node.primitive != &dot_general_primitive() ||
                                  node.params.as<DotParams>().lhs_batch.empty());
    case Kind::kNames:
      return listed;
    case Kind::kOtherNames:
      return named && !listed;
    case Kind::kAllButNames:
      return !listed;
  }
  return false;
}

/// Divides the nodes of a forward program for the sake of its results behind the first few.
class Division {
 public:
  Division(const Graph& graph, const CheckpointPolicy& policy, size_t results)
      : graph_(graph),
        results_(results),
        producer_(graph.types.size(), -1),
        same_(graph.types.size()),
        allowed_(graph.types.size(), 0),
        seen_(graph.types.size(), 0),
        again_(graph.nodes.size(), 0) {
    for (size_t id = 0; id < same_.size(); ++id) same_[id] = static_cast<ValueId>(id);
    for (size_t n = 0; n < graph.nodes.size(); ++n) mark(n, policy);
    for (size_t k = results; k < graph.outputs.size(); ++k) want(graph.outputs[k]);
  }

  bool keeps_nothing() const { return kept_.empty(); }

  Graph forward() const {
    Graph out = graph_;
    out.outputs.resize(results_);
    out.outputs.insert(out.outputs.end(), kept_.begin(), kept_.end());
    return out;
  }

  Graph again() const {
    Graph out;
    out.types = graph_.types;
    out.constants = graph_.constants;
    out.inputs = graph_.inputs;
    std::vector<ValueId> here = same_;
    // A kept value may be one of several results of a node that is run again.
    for (ValueId id : kept_) {
      here[id] = out.add_value(graph_.types[id]);
      out.inputs.push_back(here[id]);
    }
    const auto at = [&](ValueId id) { return here[same_[id]]; };
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!again_[n]) continue;
      out.nodes.push_back(graph_.nodes[n]);
      for (ValueId& id : out.nodes.back().inputs) id = at(id);
    }
    for (size_t k = results_; k < graph_.outputs.size(); ++k)
      out.outputs.push_back(at(graph_.outputs[k]));
    return out;
  }

 private:
  void mark(size_t n, const CheckpointPolicy& policy) {
    const Graph::Node& node = graph_.nodes[n];
    const bool allowed = std::any_of(policy.rules.begin(), policy.rules.end(),
                                     [&](const auto& rule) { return keeps(rule, node); });
    for (ValueId id : node.outputs) {
      producer_[id] = static_cast<int64_t>(n);
      allowed_[id] = allowed;
    }
    if (!allowed || node.primitive != &checkpoint_name_primitive()) return;
    // With and without its name it is one value.
    const ValueId value = same_[node.inputs[0]];
    same_[node.outputs[0]] = value;
    allowed_[value] = 1;
  }

  void want(ValueId id) {
    std::vector<ValueId> wanted{id};
    while (!wanted.empty()) {
      const ValueId value = same_[wanted.back()];
      wanted.pop_back();
      if (seen_[value] || producer_[value] < 0) continue;
      seen_[value] = 1;
      if (allowed_[value]) {
        kept_.push_back(value);
        continue;
      }
      const size_t n = static_cast<size_t>(producer_[value]);
      if (again_[n]) continue;
      again_[n] = 1;
      const std::vector<ValueId>& operands = graph_.nodes[n].inputs;
      wanted.insert(wanted.end(), operands.begin(), operands.end());
    }
  }

  const Graph& graph_;
  size_t results_;
  std::vector<int64_t> producer_;  ///< node of each value; -1: operands and constants
  std::vector<ValueId> same_;      ///< the value that stands for it
  std::vector<uint8_t> allowed_, seen_, again_;
  std::vector<ValueId> kept_;
};

}  // namespace

Recomputation recomputation_of(const ProgramPtr& program, const std::vector<uint8_t>& active,
                               const CheckpointPolicy& policy) {
  const Program::Vjp vjp = program->vjp(active);
  const Division division(vjp.forward->graph(), policy, program->graph().outputs.size());
  return {division.keeps_nothing() ? program : std::make_shared<Program>(division.forward()),
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
