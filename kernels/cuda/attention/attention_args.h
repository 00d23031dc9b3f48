// Parameters and instances of the kernels around cuDNN's attention.
#pragma once

#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

inline constexpr int kAttentionThreads = 256;
/// Elements that a thread of the bias makes, a block's width apart.
inline constexpr int kBiasPerThread = 4;
/// Queries, or keys in the gradient, of a warp.
inline constexpr int kRowsPerWarp = 128;

/// The bias of masked scores. Added to any score that is not astronomic it remains what it is in
/// f32, and times log2(e) it is finite.
inline constexpr float kMaskedBias = -1e30f;

/// y = mask ? bias : kMaskedBias. No bias: zero.
struct AttentionBiasArgs {
  static constexpr unsigned kPointers = 3;
  Global<const unsigned char> mask;
  Global<const char> bias;
  Global<void> y;       ///< dense
  IndexSpace<2> space;  ///< where elements of mask and bias lie, in bytes
};

/// y = log-sum-exp, or zero where it is below `limit`.
struct VisibleRowsArgs {
  static constexpr unsigned kPointers = 2;
  Global<const float> x;
  Global<float> y;
  long long count;
  float limit;
};

/// Tensors [batch, length, heads, size], of which `group` query heads share a key head; factors of
/// the weights [batch, heads, q_length, kv_length], whose strides are zero where they are the same.
struct AttentionRows {
  long long factors_batch, factors_head;
  int batch, heads, group, q_length, kv_length, size;
  /// A row whose log-sum-exp is below it may look nowhere.
  float limit;
  float weight;  ///< of each key in such a row
};

/// y = weight * sum over keys of factor * v, and log_sum_exp = masked_score, in empty rows.
struct EmptyRowsArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> v, factors;  ///< no factors: one
  Global<void> y;
  Global<float> log_sum_exp;
  AttentionRows rows;
  float masked_score;
};

/// dv += weight * sum over empty rows of factor * dy.
struct EmptyRowsBackwardArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> dy, factors;
  Global<void> dv;
  Global<const float> log_sum_exp;
  AttentionRows rows;
};

}  // namespace linnet::cuda

// X(name, dtype of the operands, T, type of the results): f16 has no number that hides a score.
#define LINNET_ATTENTION_BIAS_KERNELS(X)    \
  X(attention_bias_bf16, kBF16, Bf16, Bf16) \
  X(attention_bias_f16, kF16, Half, float)  \
  X(attention_bias_f32, kF32, float, float)
// X(name, dtype, T)
#define LINNET_EMPTY_ROWS_KERNELS(X)        \
  X(attention_empty_rows_bf16, kBF16, Bf16) \
  X(attention_empty_rows_f16, kF16, Half)   \
  X(attention_empty_rows_f32, kF32, float)
#define LINNET_EMPTY_ROWS_BACKWARD_KERNELS(X)        \
  X(attention_empty_rows_backward_bf16, kBF16, Bf16) \
  X(attention_empty_rows_backward_f16, kF16, Half)
