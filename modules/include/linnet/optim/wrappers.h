// Transformations around others, named and behaving as in optax: for a part of the parameters,
// every k-th step, only while gradients are finite, with settings that can be changed while
// training.
//
//   auto decays = [](const tree::Path& path, const Tensor&) { return path.back().name != "bias"; };
//   auto tx = optim::partition({{"body", optim::adamw(1e-3, {.mask = decays})},
//                               {"head", optim::sgd(0.1)}},
//                              [](const tree::Path& path, const Tensor&) {
//                                return path.front().name == "head" ? "head" : "body";
//                              });
//   tx = optim::multi_steps(optim::apply_if_finite(tx, 5), 4);
#pragma once

#include <functional>
#include <map>
#include <string>

#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// `tx` for the parameters in the mask; the updates of the others are their gradients (J-100).
GradientTransformation masked(GradientTransformation tx, Mask mask);

/// The name of the transformation of each parameter.
using Labels = PerParameter<std::string>;
/// Each parameter by the transformation that its label names (J-100).
/// @throws ValueError from `init` for a label that names none.
GradientTransformation partition(std::map<std::string, GradientTransformation> transformations,
                                 Labels labels);
inline GradientTransformation multi_transform(
    std::map<std::string, GradientTransformation> transformations, Labels labels) {
  return partition(std::move(transformations), std::move(labels));
}

struct MultiStepsOptions {
  bool mean = true;  ///< of the gradients that are gathered; or their sum
  /// Gives a bool[]: gradients for which it is true are left out, and not counted.
  std::function<Tensor(const TensorList& gradients)> should_skip = {};
};
/// Gathers `every_k` gradients, in f32 at least, and makes the step of `tx` with every k-th; the
/// other updates are zero (J-102). A schedule for k sees the number of steps that `tx` has made.
GradientTransformation multi_steps(GradientTransformation tx, Rate every_k,
                                   MultiStepsOptions options = {});
/// bool[]: whether some gradient is not finite; for `MultiStepsOptions::should_skip` (J-103).
Tensor skip_not_finite(const TensorList& gradients);

/// Steps whose gradients are not all finite give zero updates and leave the state as it is, until
/// more than `max_consecutive_errors` follow each other: then they are made (J-103). State: counts
/// `notfinite_count` (in a row) and `total_notfinite`, and `last_finite`.
GradientTransformation apply_if_finite(GradientTransformation tx, int64_t max_consecutive_errors);

/// Settings by name: numbers to begin with, or schedules.
using Hyperparameters = std::map<std::string, Rate>;
/// The transformation that `make` gives for settings that lie in the state (J-101), where they can
/// be read and changed: `hyperparameter(state, "learning_rate") = scalar(1e-4)`. A schedule is
/// evaluated at the count before it advances, and what it gives is kept in the state. `make` gets
/// rates that read the state, which fit wherever a `Rate` does.
GradientTransformation inject_hyperparams(
    Function<GradientTransformation(const Hyperparameters& values)> make,
    Hyperparameters initial_values);
/// A setting, f32[], in the state of `inject_hyperparams`. @throws TreeError if there is none.
Tensor& hyperparameter(TransformState& state, const std::string& name);

struct LookaheadOptions {
  int64_t sync_period = 6;      ///< steps of the fast optimiser between two of the slow weights
  double slow_step_size = 0.5;  ///< how far the slow weights go towards the fast ones
  bool reset_state = false;     ///< whether the fast optimiser begins anew then
};
/// The parameters are the fast weights; the slow ones are in the state, `slow`. Every `sync_period`
/// steps slow += slow_step_size (fast - slow), and fast = slow (Zhang et al. 2019).
GradientTransformation lookahead(GradientTransformation fast, LookaheadOptions options = {});

/// Adds up updates, and gives their sum every k-th step, otherwise zero.
GradientTransformation apply_every(int64_t k);

struct PlateauOptions {
  double factor = 0.1;       ///< by which the scale falls
  int64_t patience = 10;     ///< values without improvement before it does
  double rtol = 1e-4;        ///< what counts as an improvement, of the best value
  double atol = 0;           ///< and absolutely
  int64_t cooldown = 0;      ///< values after a fall that are not counted
  int64_t accumulation = 1;  ///< values of which the mean is looked at
  double min_scale = 0;
};
/// Updates times a scale, `scale` in the state, that falls when the value (ExtraArguments) does not
/// (J-136).
/// @throws ValueError from the update if no value is given, and for options out of range.
GradientTransformation reduce_on_plateau(PlateauOptions options = {});

}  // namespace linnet::optim

#pragma GCC visibility pop
