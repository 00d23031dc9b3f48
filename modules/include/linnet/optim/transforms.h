// Parts of optimisers beyond those of optim.h, named and behaving as in optax; put together with
// `chain`.
//
//   auto tx = optim::chain(optim::centralize(), optim::scale_by_yogi(), optim::scale(-1e-2));
//
// t counts the steps from 1; m, v are running means of gradients g and of their squares, m̂, v̂ these
// with corrected bias; p are the parameters, u the updates.
#pragma once

#include <optional>

#include "linnet/optim.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// As Adam, with the largest v̂ so far (Reddi et al. 2018).
GradientTransformation scale_by_amsgrad(AdamOptions options = {});
/// m̂ / n, n = max(|g| + eps, b2 n) (Kingma and Ba 2015, section 7.1).
GradientTransformation scale_by_adamax(double b1 = 0.9, double b2 = 0.999, double eps = 1e-8);
struct BeliefOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-16, eps_root = 1e-16;
  bool nesterov = false;
};
/// As Adam, with the running mean of (g - m)² (Zhuang et al. 2020).
GradientTransformation scale_by_belief(BeliefOptions options = {});
struct YogiOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-3, eps_root = 0, initial_accumulator = 1e-6;
};
/// As Adam, with v' = v - (1 - b2) sign(v - g²) g² (Zaheer et al. 2018).
GradientTransformation scale_by_yogi(YogiOptions options = {});
struct RAdamOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-8, eps_root = 0, threshold = 5;
  bool nesterov = false;
};
/// Adam with rectified variance: m̂ alone until the length of the running mean reaches the threshold
/// (Liu et al. 2020).
GradientTransformation scale_by_radam(RAdamOptions options = {});
struct NovogradOptions {
  double b1 = 0.9, b2 = 0.25, eps = 1e-8, eps_root = 0, weight_decay = 0;
};
/// m' = b1 m + g / (sqrt(n + eps_root) + eps) + wd p, n the running mean of |g|² of the whole
/// parameter (Ginsburg et al. 2019).
GradientTransformation scale_by_novograd(NovogradOptions options = {});
/// g sqrt(x + eps) / sqrt(v + eps), x the running mean of u² (Zeiler 2012).
GradientTransformation scale_by_adadelta(double rho = 0.9, double eps = 1e-6);
struct AdanOptions {
  double b1 = 0.98, b2 = 0.92, b3 = 0.99, eps = 1e-8, eps_root = 0;
};
/// Nesterov momentum by differences of gradients (Xie et al. 2022).
GradientTransformation scale_by_adan(AdanOptions options = {});
/// Square root of accumulators kept per row of every axis (Anil et al. 2019).
GradientTransformation scale_by_sm3(double b1 = 0.9, double b2 = 1, double eps = 1e-8);
struct RpropOptions {
  double eta_minus = 0.5, eta_plus = 1.2, min_step_size = 1e-6, max_step_size = 50;
};
/// Steps whose size depends on whether the gradient kept its sign (Riedmiller and Braun 1993). As
/// in optax, a step is made by the call after that which saw its gradient.
GradientTransformation scale_by_rprop(double initial_step_size, RpropOptions options = {});
struct RmsOptions {
  double decay = 0.9, eps = 1e-8, initial_scale = 0;
  bool eps_in_sqrt = true;  ///< g rsqrt(v + eps); otherwise g / (sqrt(v) + eps)
  bool bias_correction = false;
};
GradientTransformation scale_by_rms(RmsOptions options);
/// By the deviation: v - m² in place of v (J-112).
GradientTransformation scale_by_stddev(RmsOptions options = {});

/// Running mean of the updates, with corrected bias unless told otherwise (J-116).
GradientTransformation ema(double decay, bool debias = true);
/// Minus the mean over all axes but the first, for parameters of more than one axis.
GradientTransformation centralize();
/// u scale_factor / (|u| + eps), |u| the norm of all together.
GradientTransformation normalize_by_update_norm(double scale_factor = 1, double eps = 1e-6);
/// Parameters that would become negative become zero.
GradientTransformation keep_params_nonnegative();
/// NaN becomes zero; `found_nan`, a bool per parameter, says where there were any.
GradientTransformation zero_nans();
/// Adds normal numbers of variance eta / t^gamma.
GradientTransformation add_noise(double eta, double gamma, const Key& key);

struct TrustRatioOptions {
  double min_norm = 0, trust_coefficient = 1, eps = 0;
};
/// u c |p| / (|u| + eps) for each parameter; u where either norm is 0 (J-114).
GradientTransformation scale_by_trust_ratio(TrustRatioOptions options = {});
/// u max(|p|, min_scale) for each parameter.
GradientTransformation scale_by_param_block_norm(double min_scale = 1e-3);
/// u max(rms(p), min_scale) for each parameter.
GradientTransformation scale_by_param_block_rms(double min_scale = 1e-3);
struct FactoredRmsOptions {
  bool factored = true;
  double decay_rate = 0.8;  ///< running means with decay 1 - t^-decay_rate
  int64_t step_offset = 0;
  int64_t min_dim_size_to_factor = 128;  ///< of the second largest dimension
  double epsilon = 1e-30;
};
/// g / sqrt(v), where v of a parameter with two large dimensions is the product of means over rows
/// and columns (Shazeer and Stern 2018; J-114).
GradientTransformation scale_by_factored_rms(FactoredRmsOptions options = {});

/// u / max(1, rms(u) / threshold) for each parameter (J-111).
GradientTransformation clip_by_block_rms(double threshold);
/// Each unit's gradient to at most `clipping` times the norm of the unit's weights, which is taken
/// as at least eps (Brock et al. 2021). A unit is a vector whole, a column of [in, out] or of a
/// convolution kernel [spatial…, in, out].
/// @throws ShapeError for parameters of more than 5 axes.
GradientTransformation adaptive_grad_clip(double clipping, double eps = 1e-3);

struct MuonOptions {
  double beta = 0.95, eps = 1e-8;
  bool nesterov = true;
  int64_t newton_schulz_steps = 5;
};
/// The matrix nearest to being orthogonal beside the momentum, by the quintic Newton-Schulz
/// iteration, times sqrt(max(1, columns / rows)); for matrices (Jordan et al. 2024).
/// @throws ShapeError for parameters that are no matrices.
GradientTransformation scale_by_muon(MuonOptions options = {});

}  // namespace linnet::optim

#pragma GCC visibility pop
