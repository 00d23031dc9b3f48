// Private: which elementwise nodes of a graph are computed together.
#pragma once

#include <optional>
#include <vector>

#include "core/graph/rewrite.h"

namespace linnet {

/// Most instructions, operands and results of one cluster: beyond, the tiles of a program no longer
/// fit into the first-level cache.
inline constexpr size_t kMostInstructions = 48;
inline constexpr size_t kMostOperands = 16;
inline constexpr size_t kMostResults = 8;

/// Cost per element of a primitive that tile programs compute; none for others.
std::optional<int> scalar_cost(const Primitive& primitive);
/// Whether a node can be part of a cluster.
bool is_fusable(const Graph& graph, const Graph::Node& node);
/// The 0-d constant that a value is, or repeats; -1 if it is anything else. Clusters hold such
/// numbers themselves.
ValueId embedded_number(const Graph& graph, const std::vector<int32_t>& producers, ValueId id);

/// Groups nodes of one shape such that every result flows from producer to consumer inside a group,
/// and no path leaves a group and comes back.
class Clusters {
 public:
  explicit Clusters(const Graph& graph);

  /// Nodes of each cluster of at least two, ascending.
  const std::vector<std::vector<int32_t>>& groups() const { return groups_; }

 private:
  int32_t find(int32_t node) const;
  const Shape& shape_of(int32_t node) const;
  bool try_merge(int32_t producer, int32_t consumer);
  bool within_limits(int32_t a, int32_t b) const;
  bool leaves_and_returns(int32_t from, int32_t to);
  bool is_special(ValueId id) const { return embedded_[static_cast<size_t>(id)] >= 0; }

  const Graph& graph_;
  std::vector<int32_t> producers_;
  std::vector<std::vector<int32_t>> consumers_;
  std::vector<uint8_t> returned_;        // by the program
  std::vector<ValueId> embedded_;        // of each value
  mutable std::vector<int32_t> parent_;  // union-find over nodes
  std::vector<std::vector<int32_t>> members_;
  std::vector<int32_t> visited_;  // by the walk number `walk_`
  int32_t walk_ = 0;
  std::vector<std::vector<int32_t>> groups_;
};

}  // namespace linnet
