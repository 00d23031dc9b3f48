#include "core/graph/rewrite.h"

#include <numeric>
#include <utility>

namespace linnet {

std::vector<int32_t> producers(const Graph& graph) {
  std::vector<int32_t> out(graph.types.size(), -1);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].outputs) out[id] = static_cast<int32_t>(n);
  }
  return out;
}

std::vector<int32_t> use_counts(const Graph& graph) {
  std::vector<int32_t> out(graph.types.size(), 0);
  for (const Graph::Node& node : graph.nodes) {
    for (ValueId id : node.inputs) ++out[id];
  }
  for (ValueId id : graph.outputs) ++out[id];
  return out;
}

Consumers::Consumers(const Graph& graph) : ends_(graph.types.size() + 1, 0) {
  // A node that reads a value twice reads it once: the last node that was counted for each value.
  std::vector<int32_t> latest(graph.types.size(), -1);
  const auto for_each = [&](auto&& visit) {
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const int32_t index = static_cast<int32_t>(n);
      for (ValueId id : graph.nodes[n].inputs) {
        if (std::exchange(latest[id], index) != index) visit(static_cast<size_t>(id), index);
      }
    }
  };
  for_each([&](size_t value, int32_t) { ++ends_[value + 1]; });
  std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
  nodes_.resize(ends_.back());
  std::vector<size_t> next(ends_.begin(), ends_.end() - 1);
  latest.assign(latest.size(), -1);
  for_each([&](size_t value, int32_t node) { nodes_[next[value]++] = node; });
}

Replacements::Replacements(const Graph& graph) : to_(graph.types.size()) {
  std::iota(to_.begin(), to_.end(), ValueId{0});
}

void Replacements::set(ValueId value, ValueId by) {
  // Values added after construction stand for themselves.
  for (size_t next = to_.size(); next <= static_cast<size_t>(std::max(value, by)); ++next) {
    to_.push_back(static_cast<ValueId>(next));
  }
  to_[value] = find(by);
}

ValueId Replacements::find(ValueId value) const {
  while (static_cast<size_t>(value) < to_.size() && to_[value] != value) value = to_[value];
  return value;
}

void Replacements::apply(Graph& graph) const {
  for (Graph::Node& node : graph.nodes) {
    for (ValueId& id : node.inputs) id = find(id);
  }
  for (ValueId& id : graph.outputs) id = find(id);
}

namespace {

/// Whether `renumber` would change nothing.
bool in_order(const Graph& graph) {
  ValueId next = 0;
  for (ValueId id : graph.inputs) {
    if (id != next++) return false;
  }
  for (const auto& [id, value] : graph.constants) {
    if (id != next++) return false;
  }
  for (const Graph::Node& node : graph.nodes) {
    for (ValueId id : node.outputs) {
      if (id != next++) return false;
    }
  }
  return static_cast<size_t>(next) == graph.types.size();
}

}  // namespace

void renumber(Graph& graph) {
  if (in_order(graph)) return;
  std::vector<ValueId> fresh(graph.types.size(), -1);
  std::vector<TensorType> types;
  types.reserve(graph.types.size());
  const auto define = [&](ValueId& id) {
    fresh[id] = static_cast<ValueId>(types.size());
    types.push_back(std::move(graph.types[id]));
    id = fresh[id];
  };
  for (ValueId& id : graph.inputs) define(id);
  for (auto& [id, value] : graph.constants) define(id);
  for (Graph::Node& node : graph.nodes) {
    for (ValueId& id : node.inputs) id = fresh[id];
    for (ValueId& id : node.outputs) define(id);
  }
  for (ValueId& id : graph.outputs) id = fresh[id];
  graph.types = std::move(types);
}

TypeList operand_types(const Graph& graph, std::span<const ValueId> inputs) {
  TypeList types;
  types.reserve(inputs.size());
  for (ValueId id : inputs) types.push_back(graph.types[id]);
  return types;
}

}  // namespace linnet
