// Optimisers beyond those of optim.h and optimizers.h, named and behaving as in optax and
// optax.contrib.
//
//   auto tx = optim::schedule_free_adamw(2.5e-3, {.warmup_steps = 1000});
//   ...
//   auto eval = optim::schedule_free_eval_params(state, params);      // what to evaluate with
//
// Notation as in transforms.h.
#pragma once

#include <optional>

#include "linnet/optim/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// The sign of each element (Bernstein et al. 2018).
GradientTransformation scale_by_sign();
GradientTransformation sign_sgd(Rate rate);
/// The sign of the running mean.
GradientTransformation signum(Rate rate, double beta = 0.9);

/// (-lr p_norm / u_norm) u for each parameter, shrunk by 1 / sqrt(1 + lr²) (Bernstein et al. 2020).
GradientTransformation fromage(Rate rate, double min_norm = 1e-6);

/// (alpha + beta) g - beta g', g' the gradient before (Mokhtari et al. 2020).
GradientTransformation scale_by_optimistic_gradient(double alpha = 1, double beta = 1);
GradientTransformation optimistic_gradient_descent(Rate rate, double alpha = 1, double beta = 1);

struct PolyakOptions {
  double f_min = 0, max_learning_rate = 1, eps = 0;
  bool plus = false;  ///< steps only down: the gap is at least 0
};
/// u min((f - f_min) / (|u|² + eps), max_learning_rate), f the value (ExtraArguments); 0 for
/// vanishing gradients (Loizou et al. 2021).
GradientTransformation scale_by_polyak(PolyakOptions options = {});
GradientTransformation polyak_sgd(PolyakOptions options = {}, Rate scaling = 1.0);

struct AdemamixOptions {
  double b1 = 0.9, b2 = 0.999;
  Rate b3 = 0.9999, alpha = 5.0;  ///< of the slow mean; schedules of the step
  double eps = 1e-8, eps_root = 0, weight_decay = 0;
  std::optional<Mask> mask = {};
};
/// (m̂ + alpha n) / (sqrt(v̂ + eps_root) + eps), n a slower mean of gradients (Pagliardini et al.
/// 2024). The decay is for `ademamix`; optax's default of alpha is 6 here and 5 there.
GradientTransformation scale_by_ademamix(AdemamixOptions options = {});
GradientTransformation ademamix(Rate rate, AdemamixOptions options = {});

struct AdoptOptions {
  double b1 = 0.9, b2 = 0.9999, eps = 1e-6;
  bool nesterov = false;
  bool use_clipping = true;  ///< of normalised gradients to the fourth root of the step
};
/// Adam whose gradient is divided by the v before it, so that it converges for any b2 (Taniguchi et
/// al. 2024).
GradientTransformation scale_by_adopt(AdoptOptions options = {});
GradientTransformation adopt(Rate rate, AdoptOptions options = {});

/// Gradients are taken between a sequence z, which `base` moves, and the running mean x of it:
/// p = b1 x + (1 - b1) z (Defazio et al. 2024). The weight of a step in the mean is the largest
/// rate so far to the power `weight_lr_power`; a schedule sees steps from 1.
GradientTransformation schedule_free(GradientTransformation base, Rate rate, double b1 = 0.9,
                                     double weight_lr_power = 2);
struct ScheduleFreeOptions {
  std::optional<int64_t> warmup_steps = {};
  double b1 = 0.9, b2 = 0.999, eps = 1e-8;
  double weight_decay = 0, weight_lr_power = 2;
};
GradientTransformation schedule_free_sgd(double rate = 1, ScheduleFreeOptions options = {});
GradientTransformation schedule_free_adamw(double rate = 2.5e-3, ScheduleFreeOptions options = {});

namespace detail {
TensorList schedule_free_list(const TransformState& state, const TensorList& params);
}  // namespace detail
/// x: the parameters to evaluate with. @throws TreeError for another state.
template <class Tree>
Tree schedule_free_eval_params(const TransformState& state, const Tree& params) {
  return tree::unflatten(params, detail::schedule_free_list(state, tree::leaves(params)));
}

}  // namespace linnet::optim

#pragma GCC visibility pop
