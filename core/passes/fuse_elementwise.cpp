// Elementwise clusters become one node each.
#include <algorithm>
#include <queue>

#include "core/graph/fused_elementwise.h"
#include "core/passes/cluster_builder.h"
#include "core/passes/clusters.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

/// One operation on one operand (and numbers) that costs no more than reading its result would.
bool is_cheap(const Graph& graph, const EmbeddedNumbers& numbers, const Graph::Node& node) {
  if (!is_fusable(graph, node) || *scalar_cost(*node.primitive) > 1) return false;
  ValueId operand = -1;
  for (ValueId id : node.inputs) {
    if (numbers.of(id) >= 0 || id == operand) continue;
    if (operand >= 0) return false;
    operand = id;
  }
  return operand >= 0 &&
         size_of(graph.types[operand].dtype) <= size_of(graph.types[node.outputs[0]].dtype);
}

/// Gives every consumer of a cheap node a copy of its own, if all of them can compute it on the
/// way: then its result is never stored. Copies that end up in one cluster are merged again.
void copy_cheap_producers(Graph& graph) {
  const std::vector<int32_t> made = producers(graph);
  const EmbeddedNumbers numbers(graph);
  const Consumers readers(graph);
  std::vector<uint8_t> returned(graph.types.size(), 0);
  for (ValueId id : graph.outputs) returned[id] = 1;
  std::vector<std::vector<Graph::Node>> before(graph.nodes.size());
  for (size_t n = 0; n < readers.size(); ++n) {
    const ValueId id = static_cast<ValueId>(n);
    if (made[id] < 0 || returned[id] || readers[id].size() < 2) continue;
    const Graph::Node node = graph.nodes[made[id]];
    if (!is_cheap(graph, numbers, node)) continue;
    const bool all = std::all_of(readers[id].begin(), readers[id].end(), [&](int32_t r) {
      const Graph::Node& reader = graph.nodes[r];
      return is_fusable(graph, reader) &&
             graph.types[reader.outputs[0]].shape == graph.types[id].shape;
    });
    if (!all) continue;
    // The first reader keeps the original.
    for (size_t k = 1; k < readers[id].size(); ++k) {
      Graph::Node copy = node;
      copy.outputs = {graph.add_value(TensorType(graph.types[id]))};
      std::vector<ValueId>& inputs = graph.nodes[readers[id][k]].inputs;
      std::replace(inputs.begin(), inputs.end(), id, copy.outputs[0]);
      before[readers[id][k]].push_back(std::move(copy));
    }
  }
  std::vector<Graph::Node> nodes;
  for (size_t n = 0; n < before.size(); ++n) {
    std::move(before[n].begin(), before[n].end(), std::back_inserter(nodes));
    nodes.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(nodes);
}

/// For each value, whether anything but the cluster of its node reads it.
std::vector<uint8_t> read_outside(const Graph& graph, const std::vector<int32_t>& made,
                                  const std::vector<int32_t>& group_of) {
  std::vector<uint8_t> out(graph.types.size(), 0);
  for (ValueId id : graph.outputs) out[id] = 1;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].inputs) {
      if (made[id] >= 0 && (group_of[made[id]] < 0 || group_of[made[id]] != group_of[n]))
        out[id] = 1;
    }
  }
  return out;
}

/// Orders nodes so that values are defined before they are read, keeping the given order otherwise.
void sort_nodes(Graph& graph) {
  const std::vector<int32_t> made = producers(graph);
  const Consumers readers(graph);
  std::vector<int32_t> missing(graph.nodes.size(), 0);
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ready;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    std::vector<ValueId> operands = graph.nodes[n].inputs;
    std::sort(operands.begin(), operands.end());
    operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
    for (ValueId id : operands) missing[n] += made[id] >= 0;
    if (missing[n] == 0) ready.push(static_cast<int32_t>(n));
  }
  std::vector<Graph::Node> sorted;
  while (!ready.empty()) {
    const int32_t n = ready.top();
    ready.pop();
    for (ValueId id : graph.nodes[n].outputs) {
      for (int32_t reader : readers[id]) {
        if (--missing[reader] == 0) ready.push(reader);
      }
    }
    sorted.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(sorted);
}

}  // namespace

void fuse_elementwise(Graph& graph) {
  copy_cheap_producers(graph);
  const Clusters clusters(graph);
  const std::vector<int32_t> made = producers(graph);
  const EmbeddedNumbers numbers(graph);
  std::vector<int32_t> group_of(graph.nodes.size(), -1);
  for (size_t g = 0; g < clusters.groups().size(); ++g) {
    for (int32_t n : clusters.groups()[g]) group_of[n] = static_cast<int32_t>(g);
  }
  const std::vector<uint8_t> outside = read_outside(graph, made, group_of);
  std::vector<uint8_t> absorbed(graph.nodes.size(), 0);
  std::vector<std::pair<int32_t, Graph::Node>> fused;  // with the place of the last member
  for (const std::vector<int32_t>& group : clusters.groups()) {
    Graph::Node node = ClusterBuilder(graph, numbers, outside).run(group);
    if (!has_kernel(*node.primitive, node.params, operand_types(graph, node.inputs),
                    operand_types(graph, node.outputs))) {
      continue;
    }
    for (int32_t n : group) absorbed[n] = 1;
    fused.emplace_back(group.back(), std::move(node));
  }
  for (auto& [place, node] : fused) {
    graph.nodes[place] = std::move(node);
    absorbed[place] = 0;
  }
  std::vector<Graph::Node> kept;
  for (size_t n = 0; n < absorbed.size(); ++n) {
    if (!absorbed[n]) kept.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(kept);
  sort_nodes(graph);
}

}  // namespace linnet
