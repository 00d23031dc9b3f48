// The learning rate of a training that runs, and a search for a good one.
//
//   auto tx = optim::inject_hyperparams(
//       [](const optim::Hyperparameters& h) { return optim::adam(h.at("learning_rate")); },
//       {{"learning_rate", 1e-3}});
//   optim::Optimizer optimizer(model, tx);
//   training::set_learning_rate(optimizer, 3e-4);
//
//   training::RateCurve curve = training::find_learning_rate(state, [&](double rate) {
//     training::set_learning_rate(state.optimizer, rate);
//     return step(state, next_batch()).item<double>();
//   });
//   training::set_learning_rate(state.optimizer, curve.suggested.value());
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "linnet/optim.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::training {

/// The setting `learning_rate` of `optim::inject_hyperparams`.
/// @throws TreeError if the optimizer has none.
double learning_rate(const optim::Optimizer& optimizer);
void set_learning_rate(optim::Optimizer& optimizer, double rate);

struct RateFinderOptions {
  double lowest = 1e-7, highest = 10;  ///< rates that are tried, in a geometric sequence
  int64_t steps = 100;
  double smoothing = 0.9;   ///< share of the past in the running mean of the loss, bias corrected
  double diverged = 4;      ///< ends when the mean is so many times the least one
  int64_t skip_begin = 10;  ///< first points that are not suggested: the mean knows little
  int64_t skip_end = 1;
};

/// What a search has seen.
struct RateCurve {
  std::vector<double> rates;
  std::vector<double> losses;  ///< running means
  /// Where the loss falls most steeply over the number of the step (Smith 2017); none if too few
  /// losses were finite.
  std::optional<double> suggested;
};

/// Calls `step` with growing rates until the loss explodes; the state that it trains is spoilt
/// afterwards.
/// @param step makes a training step at a rate and gives its loss.
/// @throws ValueError for rates that do not grow from above 0, fewer than two steps, a smoothing
/// not within [0, 1).
RateCurve find_learning_rate(const std::function<double(double rate)>& step,
                             const RateFinderOptions& options = {});

/// The same, and `state`, the tree of all that steps change, is as before at the end.
template <class T>
RateCurve find_learning_rate(T& state, const std::function<double(double rate)>& step,
                             const RateFinderOptions& options = {}) {
  struct Restore {
    std::vector<tree::LeafRef> leaves;
    TensorList values;
    ~Restore() { tree::write(leaves, values); }
  };
  Restore restore{tree::flatten(state).leaves, {}};
  restore.values = tree::read(restore.leaves);
  return find_learning_rate(step, options);
}

}  // namespace linnet::training

#pragma GCC visibility pop
