#include "core/graph/rewrite.h"

#include <numeric>

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

std::vector<std::vector<int32_t>> consumers(const Graph& graph) {
  std::vector<std::vector<int32_t>> out(graph.types.size());
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].inputs) {
      const int32_t index = static_cast<int32_t>(n);
      if (out[id].empty() || out[id].back() != index) out[id].push_back(index);
    }
  }
  return out;
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

void renumber(Graph& graph) {
  std::vector<ValueId> fresh(graph.types.size(), -1);
  std::vector<TensorType> types;
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
  for (ValueId id : inputs) types.push_back(graph.types[id]);
  return types;
}

}  // namespace linnet
