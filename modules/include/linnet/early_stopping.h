// When to stop a training loop, and the metrics of its steps as one tree.
//
//   EarlyStopping stopping{.min_delta = 1e-3, .patience = 2};
//   for (...) {
//     stopping.update(loss);
//     if (stopping.should_stop) break;
//   }
#pragma once

#include <limits>
#include <vector>

#include "linnet/error.h"
#include "linnet/ops.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Follows a metric that should fall (L-171).
struct EarlyStopping {
  double min_delta = 0;  ///< an improvement is larger than this
  int64_t patience = 0;  ///< updates without improvement that are borne
  double best_metric = std::numeric_limits<double>::infinity();
  int64_t patience_count = 0;  ///< updates since the last improvement
  bool should_stop = false;    ///< stays true
  bool has_improved = false;   ///< at the last update; always at the first

  LINNET_FIELDS(min_delta, patience, best_metric, patience_count, should_stop, has_improved)

  void update(double metric) {
    const bool first = best_metric == std::numeric_limits<double>::infinity();
    has_improved = first || best_metric - metric > min_delta;
    if (has_improved) {
      best_metric = metric;
      patience_count = 0;
    } else {
      should_stop = should_stop || patience_count >= patience;
      ++patience_count;
    }
  }
  /// Begins anew with the same settings.
  void reset() { *this = {.min_delta = min_delta, .patience = patience}; }
};

/// Trees of one structure as one, whose tensors have them along a new first dimension.
/// @throws ValueError for none, ShapeError if shapes differ, TreeError if structures do.
template <class T>
T stack_forest(const std::vector<T>& trees) {
  if (trees.empty()) throw ValueError("stack_forest: expected a tree at least");
  std::vector<TensorList> columns(tree::leaves(trees[0]).size());
  for (const T& each : trees) {
    const TensorList leaves = tree::leaves(each);
    if (leaves.size() != columns.size())
      throw TreeError("stack_forest: the trees have different numbers of tensors");
    for (size_t i = 0; i < leaves.size(); ++i) columns[i].push_back(leaves[i]);
  }
  TensorList stacked;
  for (const TensorList& column : columns) stacked.push_back(stack(column));
  return tree::unflatten(trees[0], stacked);
}

}  // namespace linnet

#pragma GCC visibility pop
