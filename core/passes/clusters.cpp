#include "core/passes/clusters.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/ops/convert.h"
#include "core/ops/scalar_functions.h"
#include "core/ops/shape_ops.h"

namespace linnet {

namespace {

/// Clusters visited in search of a path before it is taken for granted that there is one: this
/// bounds the time that very large programs take.
constexpr int kMostVisited = 4096;

}  // namespace

std::optional<int> scalar_cost(const Primitive& primitive) {
  if (&primitive == &convert_primitive()) return 1;
  const std::optional<ScalarOp> op = find_scalar_op(primitive.name);
  if (!op) return {};
  return scalar_op_info(*op).cost;
}

bool is_fusable(const Graph& graph, const Graph::Node& node) {
  if (node.outputs.size() != 1 || !node.primitive->pointwise() || !scalar_cost(*node.primitive))
    return false;
  const Shape& shape = graph.types[node.outputs[0]].shape;
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId id) { return graph.types[id].shape == shape; });
}

ValueId embedded_number(const Graph& graph, const std::vector<int32_t>& producers, ValueId id) {
  if (static_cast<size_t>(id) >= producers.size()) return -1;  // added since
  const int32_t made = producers[id];
  if (made >= 0) {
    const Graph::Node& node = graph.nodes[made];
    if (node.primitive != &broadcast_in_dim_primitive() ||
        !graph.types[node.inputs[0]].shape.empty())
      return -1;
    id = node.inputs[0];
  }
  if (producers[id] >= 0 || !graph.types[id].shape.empty()) return -1;
  const bool constant = std::any_of(graph.constants.begin(), graph.constants.end(),
                                    [&](const auto& entry) { return entry.first == id; });
  return constant ? id : -1;
}

Clusters::Clusters(const Graph& graph)
    : graph_(graph),
      producers_(producers(graph)),
      consumers_(consumers(graph)),
      returned_(graph.types.size(), 0),
      embedded_(graph.types.size()),
      parent_(graph.nodes.size()),
      members_(graph.nodes.size()),
      visited_(graph.nodes.size(), 0) {
  for (ValueId id : graph.outputs) returned_[id] = 1;
  for (size_t id = 0; id < embedded_.size(); ++id) {
    embedded_[id] = embedded_number(graph, producers_, static_cast<ValueId>(id));
  }
  std::iota(parent_.begin(), parent_.end(), 0);
  const int32_t count = static_cast<int32_t>(graph.nodes.size());
  std::vector<uint8_t> fusable(graph.nodes.size());
  for (int32_t n = 0; n < count; ++n) {
    members_[n] = {n};
    fusable[n] = is_fusable(graph, graph.nodes[n]);
  }
  // Backward, so that a node joins what consumes it before what it is computed from: a value that
  // only the backward pass needs is then computed there and not kept from the forward pass.
  for (int32_t n = count; n-- > 0;) {
    if (!fusable[n]) continue;
    for (int32_t reader : consumers_[graph.nodes[n].outputs[0]]) {
      if (fusable[reader] && shape_of(reader) == shape_of(n)) try_merge(n, reader);
    }
  }
  for (int32_t n = 0; n < count; ++n) {
    if (find(n) == n && members_[n].size() > 1) {
      groups_.push_back(members_[n]);
      std::sort(groups_.back().begin(), groups_.back().end());
    }
  }
  std::sort(groups_.begin(), groups_.end());
}

int32_t Clusters::find(int32_t node) const {
  while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
  return node;
}

const Shape& Clusters::shape_of(int32_t node) const {
  return graph_.types[graph_.nodes[node].outputs[0]].shape;
}

bool Clusters::try_merge(int32_t producer, int32_t consumer) {
  const int32_t a = find(producer), b = find(consumer);
  if (a == b || !within_limits(a, b) || leaves_and_returns(a, b)) return false;
  parent_[a] = b;
  members_[b].insert(members_[b].end(), members_[a].begin(), members_[a].end());
  members_[a].clear();
  return true;
}

bool Clusters::within_limits(int32_t a, int32_t b) const {
  if (members_[a].size() + members_[b].size() > kMostInstructions) return false;
  const auto inside = [&](int32_t node) {
    return node >= 0 && (find(node) == a || find(node) == b);
  };
  std::set<ValueId> operands;
  size_t results = 0;
  for (int32_t cluster : {a, b}) {
    for (int32_t n : members_[cluster]) {
      for (ValueId id : graph_.nodes[n].inputs) {
        if (!inside(producers_[id]) && !is_special(id)) operands.insert(id);
      }
      const ValueId result = graph_.nodes[n].outputs[0];
      const auto& readers = consumers_[result];
      results += returned_[result] ||
                 std::any_of(readers.begin(), readers.end(), [&](int32_t r) { return !inside(r); });
    }
  }
  return operands.size() <= kMostOperands && results <= kMostResults;
}

/// Whether a path leads from cluster `from` to cluster `to` through a third one.
bool Clusters::leaves_and_returns(int32_t from, int32_t to) {
  ++walk_;
  std::vector<int32_t> open;
  const auto enter = [&](int32_t cluster) {
    if (visited_[cluster] == walk_) return;
    visited_[cluster] = walk_;
    open.push_back(cluster);
  };
  const auto for_each_reader = [&](int32_t cluster, auto&& visit) {
    for (int32_t n : members_[cluster]) {
      for (ValueId id : graph_.nodes[n].outputs) {
        for (int32_t reader : consumers_[id]) visit(find(reader));
      }
    }
  };
  visited_[from] = walk_;
  for_each_reader(from, [&](int32_t next) {
    if (next != to) enter(next);
  });
  int left = kMostVisited;
  while (!open.empty()) {
    if (--left == 0) return true;
    const int32_t cluster = open.back();
    open.pop_back();
    bool found = false;
    for_each_reader(cluster, [&](int32_t next) {
      found = found || next == to;
      if (next != to) enter(next);
    });
    if (found) return true;
  }
  return false;
}

}  // namespace linnet
