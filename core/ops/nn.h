// Private: the composites of neural networks. What a composite decomposes into is its definition;
// kernels may compute it whole. Statistics and sums are computed in f32, or f64 for f64 operands
// ("wide").
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"
#include "linnet/random.h"

namespace linnet {

/// f64 for f64, else f32.
constexpr DType wide_dtype(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }
/// `x` in its wide dtype.
Tensor widened(const Tensor& x);
/// `x` itself if it already has the dtype.
Tensor converted(const Tensor& x, DType dtype);
/// Integers become f32.
Tensor floating_operand(const Tensor& x);
/// The largest element along `axes`, which keep size 1; -inf where there is none.
Tensor largest(const Tensor& x, const Axes& axes);
/// What exponentials along `axes`, which keep size 1, are shifted by, as in jax.nn.logsumexp: the
/// largest element, or 0 where that is infinite.
Tensor exponent_shift(const Tensor& x, const Axes& axes);

struct AxisParams {
  Axis axis;
  LINNET_FIELDS(axis)
};
/// x -> y of the same type.
const Primitive& softmax_primitive();
const Primitive& log_softmax_primitive();
/// y, dy -> dx.
const Primitive& softmax_backward_primitive();
const Primitive& log_softmax_backward_primitive();

/// Ascending axes that disappear; x -> log(sum(exp(x))).
struct LogSumExpParams {
  AxisList axes;
  LINNET_FIELDS(axes)
};
const Primitive& logsumexp_primitive();

/// logits [..., classes], labels [...] -> loss [...], log_sum [...], both wide: the logarithm of
/// the sum of exponentials of distances from the row's exponent_shift, so that neither loss nor
/// gradient depends on where the logits lie. Labels from -classes to -1 count from the end; others
/// out of range give a NaN loss.
const Primitive& integer_cross_entropy_primitive();
/// logits, labels, log_sum, dloss -> dlogits.
const Primitive& integer_cross_entropy_backward_primitive();

/// logits, labels, dloss -> loss, log_sum, dlogits: both at once, made by the compiler where a
/// kernel takes it.
const Primitive& integer_cross_entropy_and_gradient_primitive();

/// Over the last `axes` axes of x.
struct NormParams {
  double epsilon = 0;
  int64_t axes = 1;
  bool has_scale = false, has_bias = false;
  LINNET_FIELDS(epsilon, axes, has_scale, has_bias)
};
/// x, [scale], [bias] -> y of x's type, mean and 1 / sqrt(var + epsilon), both wide, of the leading
/// shape.
const Primitive& layer_norm_primitive();
/// x, mean, rstd, dy, [scale] -> dx of x's type, [dscale], [dbias], wide.
const Primitive& layer_norm_backward_primitive();
/// x, [scale] -> y, 1 / sqrt(mean(x^2) + epsilon).
const Primitive& rms_norm_primitive();
/// x, rstd, dy, [scale] -> dx, [dscale].
const Primitive& rms_norm_backward_primitive();

/// Over all axes but the last.
struct BatchNormParams {
  double epsilon = 0;
  bool has_scale = false, has_bias = false;
  LINNET_FIELDS(epsilon, has_scale, has_bias)
};
/// x, [scale], [bias] -> y of x's type, mean, var (population), wide.
const Primitive& batch_norm_train_primitive();
/// x, mean, var, dy, [scale] -> dx of x's type, [dscale], [dbias], wide. The statistics are x's
/// own.
const Primitive& batch_norm_backward_primitive();
/// x, mean, var, [scale], [bias] -> y of x's type.
const Primitive& batch_norm_inference_primitive();

struct AttentionParams {
  double scale = 1;
  bool causal = false, has_bias = false, has_mask = false;
  double dropout_rate = 0;  ///< of the weights; 0: no keys among the operands
  /// One decision for all heads and all elements of the batch that share a key.
  bool broadcast_dropout = false;
  int64_t batch_per_key = 0;  ///< consecutive elements of the batch that share a key
  random::Layout layout = random::Layout::kPartitionable;
  LINNET_FIELDS(scale, causal, has_bias, has_mask, dropout_rate, broadcast_dropout, batch_per_key,
                layout)
};
/// q [batch, q_len, heads, dim], k, v [batch, kv_len, kv_heads, dim], [bias], [mask], which have
/// four dimensions that broadcast to [batch, heads, q_len, kv_len], [keys u32[n, 2]] -> y [batch,
/// q_len, heads, dim of v], log-sum-exp of the masked scores [batch, heads, q_len], wide.
const Primitive& attention_primitive();

struct AttentionBackwardParams {
  AttentionParams attention;
  bool has_dlse = false;
  LINNET_FIELDS(attention, has_dlse)
};
/// q, k, v, y, log-sum-exp, dy, [dlse], [bias], [mask], [keys] -> dq, dk, dv, [dbias].
const Primitive& attention_backward_primitive();

/// Defined by the files of their families; called by `define_nn`.
void define_softmax();
void define_norms();

}  // namespace linnet
