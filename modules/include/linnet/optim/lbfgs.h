// Limited-memory BFGS with line searches, named and behaving as in optax. The line search needs the
// value and the function:
//
//   auto tx = optim::lbfgs();
//   optim::TransformState state = tx.init(params);
//   auto f = [](const TensorList& p) { return sum(square(p[0] - 3)); };
//   for (int i = 0; i < 20; ++i) {
//     auto [value, gradient] = value_and_grad(f)(params);
//     optim::step(tx, params, gradient, state, {.value = value, .value_fn = f});
//   }
#pragma once

#include <optional>

#include "linnet/optim.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// Gradients times an approximation of the inverse Hessian, by the two-loop recursion over the last
/// `memory_size` differences of parameters and gradients (Nocedal and Wright 2006, algorithm 7.4;
/// J-126). The recursion begins with a multiple of the identity, unless `scale_init` is false.
/// @throws ValueError if there is no memory.
GradientTransformation scale_by_lbfgs(int64_t memory_size = 10, bool scale_init = true);

struct BacktrackingOptions {
  int64_t max_steps = 20;
  double slope_rtol = 1e-4;      ///< share of the slope by which the value must fall
  double decrease_factor = 0.8;  ///< of a step that is too long
  double increase_factor = 1.5;  ///< of the last step, to begin with
  double max_learning_rate = 1;
  double atol = 0, rtol = 0;  ///< of the value
};
/// Updates times the first of ever smaller steps with which the value falls enough (Armijo 1966);
/// 0 if no value is finite. State: `learning_rate`, `value` at the new parameters,
/// `decrease_error`, and `steps` of the search.
/// @throws ValueError from the update unless value and function are given.
GradientTransformation scale_by_backtracking_linesearch(BacktrackingOptions options = {});

struct ZoomOptions {
  int64_t max_steps = 20;
  std::optional<double> max_learning_rate = {};
  double tol = 0;                    ///< by which the conditions may be violated
  double increase_factor = 2;        ///< of the step while no interval is found
  double slope_rtol = 1e-4;          ///< share of the slope by which the value must fall
  double curv_rtol = 0.9;            ///< share of the slope that may be left
  double approx_dec_rtol = 1e-6;     ///< of the value, where rounding hides its decrease
  double stepsize_precision = 1e-5;  ///< least length of an interval
  bool keep_step = true;             ///< begin with the last step; otherwise with 1
};
/// Updates times a step that satisfies the strong conditions of Wolfe, found by widening and then
/// narrowing an interval; if none is found, one that decreases the value. The gradient of
/// `value_fn` is taken on the way. State: `learning_rate`, `value`, both errors, and `steps` of the
/// search.
/// @throws ValueError from the update unless value and function are given.
GradientTransformation scale_by_zoom_linesearch(ZoomOptions options = {});

struct LbfgsOptions {
  int64_t memory_size = 10;
  bool scale_init = true;
  /// Behind the preconditioned step; none: the step as it is, times the rate.
  std::optional<GradientTransformation> linesearch = scale_by_zoom_linesearch({.keep_step = false});
};
/// The rate, before the line search, is by default 1.
GradientTransformation lbfgs(std::optional<Rate> rate = {}, LbfgsOptions options = {});

}  // namespace linnet::optim

#pragma GCC visibility pop
