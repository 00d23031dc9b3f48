// Private: which elementwise nodes of a graph are computed together.
#pragma once

#include <optional>
#include <vector>

#include "core/graph/rewrite.h"
#include "linnet/back_end.h"

namespace linnet {

/// Cost per element of a primitive that tile programs compute; none for others.
std::optional<int> scalar_cost(const Primitive& primitive);
/// Whether a node can be part of a cluster.
bool is_fusable(const Graph& graph, const Graph::Node& node);

/// Values that are a 0-d constant, or repeat one. Clusters hold such numbers themselves.
class EmbeddedNumbers {
 public:
  explicit EmbeddedNumbers(const Graph& graph);
  /// The constant, or -1 for any other value, also for one added since.
  ValueId of(ValueId id) const {
    return static_cast<size_t>(id) < number_.size() ? number_[static_cast<size_t>(id)] : -1;
  }
  /// What a constant that `of` gave is.
  const Tensor& value(ValueId number) const {
    return graph_.constants[static_cast<size_t>(constant_[static_cast<size_t>(number)])].second;
  }

 private:
  const Graph& graph_;
  std::vector<int32_t> constant_;  // of each value the index among the constants, or -1
  std::vector<ValueId> number_;
};

/// Clusters in an order in which values flow forward, that can be changed in place.
class ClusterOrder {
 public:
  explicit ClusterOrder(int32_t count);
  bool before(int32_t a, int32_t b) const { return label_[a] < label_[b]; }
  void remove(int32_t cluster);
  /// Takes clusters out and puts them behind `place`, in the order they had.
  void move_behind(std::vector<int32_t> clusters, int32_t place);

 private:
  void relabel();
  std::vector<int64_t> label_;
  std::vector<int32_t> next_, previous_;  // around an anchor, the last element
};

/// Groups nodes of one shape such that every result flows from producer to consumer inside a group,
/// and no path leaves a group and comes back.
class Clusters {
 public:
  explicit Clusters(const Graph& graph);

  /// Nodes of each cluster of at least two, ascending.
  const std::vector<std::vector<int32_t>>& groups() const { return groups_; }
  /// How many clusters were looked at in search of paths: the work grows with it.
  size_t visits() const { return visits_; }

 private:
  int32_t find(int32_t node) const;
  const Shape& shape_of(int32_t node) const;
  bool try_merge(int32_t producer, int32_t consumer);
  bool within_limits(int32_t a, int32_t b) const;
  bool leaves_and_returns(int32_t from, int32_t to);

  const Graph& graph_;
  FusionLimits limits_;  // of the back end that the program is for
  std::vector<int32_t> producers_;
  Consumers consumers_;
  std::vector<uint8_t> returned_;  // by the program
  EmbeddedNumbers numbers_;
  mutable std::vector<int32_t> parent_;  // union-find over nodes
  std::vector<std::vector<int32_t>> members_;
  ClusterOrder order_;
  std::vector<int32_t> between_;  // clusters that the last walk reached
  std::vector<int32_t> visited_;  // by the walk number `walk_`
  int32_t walk_ = 0;
  size_t visits_ = 0;
  std::vector<std::vector<int32_t>> groups_;
};

}  // namespace linnet
