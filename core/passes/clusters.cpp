#include "core/passes/clusters.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/ops/convert.h"
#include "core/ops/scalar_functions.h"
#include "core/ops/shape_ops.h"

namespace linnet {

namespace {

/// Clusters visited in search of a path before it is taken for granted that there is one. Such
/// paths mostly lead from the forward pass over the loss into the backward pass, and exist. The
/// bound keeps the time that fusion takes linear in the size of the program.
constexpr size_t kMostVisited = 256;

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
  // Tile programs hold real numbers.
  const TensorType& result = graph.types[node.outputs[0]];
  if (is_complex(result.dtype)) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    const TensorType& type = graph.types[id];
    return type.shape == result.shape && !is_complex(type.dtype);
  });
}

EmbeddedNumbers::EmbeddedNumbers(const Graph& graph)
    : graph_(graph), constant_(graph.types.size(), -1), number_(graph.types.size(), -1) {
  for (size_t k = 0; k < graph.constants.size(); ++k) {
    const ValueId id = graph.constants[k].first;
    constant_[static_cast<size_t>(id)] = static_cast<int32_t>(k);
    if (graph.types[id].shape.empty()) number_[static_cast<size_t>(id)] = id;
  }
  for (const Graph::Node& node : graph.nodes) {
    if (node.primitive != &broadcast_in_dim_primitive()) continue;
    const size_t source = static_cast<size_t>(node.inputs[0]);
    if (constant_[source] >= 0) number_[static_cast<size_t>(node.outputs[0])] = number_[source];
  }
}

namespace {

FusionLimits limits_of(const Graph& graph) {
  if (graph.nodes.empty() || graph.nodes[0].outputs.empty()) return {};
  return back_end_of(graph.types[graph.nodes[0].outputs[0]].device).fusion_limits();
}

}  // namespace

Clusters::Clusters(const Graph& graph)
    : graph_(graph),
      limits_(limits_of(graph)),
      producers_(producers(graph)),
      consumers_(graph),
      returned_(graph.types.size(), 0),
      numbers_(graph),
      parent_(graph.nodes.size()),
      members_(graph.nodes.size()),
      order_(static_cast<int32_t>(graph.nodes.size())),
      visited_(graph.nodes.size(), 0) {
  for (ValueId id : graph.outputs) returned_[id] = 1;
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
  // What the producer leads to stands behind both from now on; none of it leads to the consumer.
  order_.remove(a);
  order_.move_behind(between_, b);
  members_[b].insert(members_[b].end(), members_[a].begin(), members_[a].end());
  members_[a].clear();
  return true;
}

bool Clusters::within_limits(int32_t a, int32_t b) const {
  if (members_[a].size() + members_[b].size() > limits_.instructions) return false;
  const auto inside = [&](int32_t node) {
    return node >= 0 && (find(node) == a || find(node) == b);
  };
  std::set<ValueId> operands;
  size_t results = 0;
  for (int32_t cluster : {a, b}) {
    for (int32_t n : members_[cluster]) {
      for (ValueId id : graph_.nodes[n].inputs) {
        if (!inside(producers_[id]) && numbers_.of(id) < 0) operands.insert(id);
      }
      const ValueId result = graph_.nodes[n].outputs[0];
      const std::span<const int32_t> readers = consumers_[result];
      results += returned_[result] ||
                 std::any_of(readers.begin(), readers.end(), [&](int32_t r) { return !inside(r); });
    }
  }
  return operands.size() <= limits_.operands && results <= limits_.results;
}

/// Whether a path leads from cluster `from` to cluster `to` through a third one. All of it would
/// stand between the two.
bool Clusters::leaves_and_returns(int32_t from, int32_t to) {
  ++walk_;
  between_.clear();
  bool found = false;
  const auto follow = [&](int32_t cluster) {
    for (int32_t n : members_[cluster]) {
      for (ValueId id : graph_.nodes[n].outputs) {
        for (int32_t reader : consumers_[id]) {
          const int32_t next = find(reader);
          found = found || (next == to && cluster != from);
          if (next == to || !order_.before(next, to) || visited_[next] == walk_) continue;
          visited_[next] = walk_;
          between_.push_back(next);
        }
      }
    }
  };
  visited_[from] = walk_;
  follow(from);
  for (size_t k = 0; k < between_.size() && !found; ++k) {
    ++visits_;
    if (k == kMostVisited) return true;
    follow(between_[k]);
  }
  return found;
}

namespace {

/// Between two neighbours, so that many clusters fit in before all get new labels.
constexpr int64_t kSpacing = int64_t{1} << 36;

}  // namespace

ClusterOrder::ClusterOrder(int32_t count)
    : label_(static_cast<size_t>(count) + 1),
      next_(static_cast<size_t>(count) + 1),
      previous_(static_cast<size_t>(count) + 1) {
  for (int32_t c = 0; c <= count; ++c) {
    next_[c] = c < count ? c + 1 : 0;
    previous_[c] = c > 0 ? c - 1 : count;
  }
  relabel();
}

void ClusterOrder::relabel() {
  const int32_t anchor = static_cast<int32_t>(next_.size()) - 1;
  int64_t label = 0;
  for (int32_t c = next_[anchor]; c != anchor; c = next_[c]) label_[c] = label += kSpacing;
  label_[anchor] = label + kSpacing;
}

void ClusterOrder::remove(int32_t cluster) {
  next_[previous_[cluster]] = next_[cluster];
  previous_[next_[cluster]] = previous_[cluster];
}

void ClusterOrder::move_behind(std::vector<int32_t> clusters, int32_t place) {
  if (clusters.empty()) return;
  std::sort(clusters.begin(), clusters.end(), [&](int32_t a, int32_t b) { return before(a, b); });
  for (int32_t cluster : clusters) remove(cluster);
  const int64_t parts = static_cast<int64_t>(clusters.size()) + 1;
  if (label_[next_[place]] - label_[place] < parts) relabel();
  const int64_t step = (label_[next_[place]] - label_[place]) / parts;
  for (int32_t cluster : clusters) {
    label_[cluster] = label_[place] + step;
    next_[cluster] = next_[place];
    previous_[cluster] = place;
    previous_[next_[place]] = cluster;
    next_[place] = cluster;
    place = cluster;
  }
}

}  // namespace linnet
