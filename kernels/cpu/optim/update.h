// Fused optimiser steps over flat float32 tensors: every buffer is read and written once.
//
//   cpu::adamw_update(n, {p, g, m, v}, {p_new, m_new, v_new}, settings);
//
// Outputs may be the inputs of the same role. Every operation is rounded separately, in the order
// of the formulas, so that the result equals that of the same step written with elementwise
// operations.
#pragma once

#include <cstdint>

namespace linnet::cpu {

struct AdamWInputs {
  const float *param, *gradient, *first_moment, *second_moment;
};
struct AdamWOutputs {
  float *param, *first_moment, *second_moment;
};
/// Bias corrections are 1 - b1^t and 1 - b2^t for step t = 1, 2, ...
struct AdamWSettings {
  float learning_rate;
  float b1 = 0.9f, b2 = 0.999f;
  /// 1 - b1 and 1 - b2, each rounded once from the exact difference.
  float b1_complement = 0.1f, b2_complement = 0.001f;
  float epsilon = 1e-8f, epsilon_root = 0;
  float weight_decay = 0;
  float first_correction, second_correction;
  float gradient_scale = 1;  ///< applied to the gradient first, as clipping by global norm does
};

/// m' = b1 m + (1 - b1) g; v' = b2 v + (1 - b2) g^2;
/// p' = p - lr ((m' / c1) / (sqrt(v' / c2 + epsilon_root) + epsilon) + weight_decay p).
/// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; Adam for weight_decay = 0.
void adamw_update(int64_t count, const AdamWInputs& in, const AdamWOutputs& out,
                  const AdamWSettings& settings);

struct SgdSettings {
  float learning_rate;
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;  ///< added to the gradient before the momentum
  float gradient_scale = 1;
};

/// g' = g + weight_decay p; t' = g' + momentum t; p' = p - lr t', or p - lr (g' + momentum t') with
/// Nesterov's form. `trace` and `trace_out` may be null when there is no momentum.
void sgd_update(int64_t count, const float* param, const float* gradient, const float* trace,
                float* param_out, float* trace_out, const SgdSettings& settings);

}  // namespace linnet::cpu
