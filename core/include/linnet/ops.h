// Operations on tensors, named and behaving as in NumPy/JAX. Operands promote (J-002) and
// broadcast; C++ literals are weak scalars. All are differentiable, batchable and traceable unless
// noted.
//
//   Tensor y = relu(matmul(x, w) + b);        // x: f32[batch, in], w: f32[in, out], b: f32[out]
//   Tensor loss = mean(square(y - target));   // f32[]
//
// Axes may be negative. Shapes and dtypes that do not fit throw ShapeError or DTypeError before
// anything is computed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/fields.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

// Creation (ops/creation.cpp)
Tensor zeros(const Shape& shape, DType dtype = DType::kF32);
Tensor ones(const Shape& shape, DType dtype = DType::kF32);
/// `zeros(2, 3)` is `zeros({2, 3})`.
template <WholeNumber... Size>
  requires(sizeof...(Size) > 0)
Tensor zeros(Size... sizes) {
  return zeros(Shape{static_cast<int64_t>(sizes)...});
}
template <WholeNumber... Size>
  requires(sizeof...(Size) > 0)
Tensor ones(Size... sizes) {
  return ones(Shape{static_cast<int64_t>(sizes)...});
}
/// Every element is `value` (zero-dimensional, converted to `dtype`, or its own dtype if none is
/// given).
Tensor full(const Shape& shape, const Tensor& value, std::optional<DType> dtype = {});
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
Tensor full_like(const Tensor& x, const Tensor& value);
/// 0, 1, … along `axis`, repeated over the other axes.
Tensor iota(DType dtype, const Shape& shape, int64_t axis = 0);
/// ceil((stop - start) / step) values from `start`; i32 for integers, f32 for floats unless given.
Tensor arange(int64_t stop, DType dtype = DType::kI32);
Tensor arange(double start, double stop, double step = 1, DType dtype = DType::kF32);
Tensor arange(int64_t start, int64_t stop, int64_t step, DType dtype = DType::kI32);
template <class T>
  requires std::is_integral_v<T>
Tensor arange(T start, T stop, T step = 1, DType dtype = DType::kI32) {
  return arange(static_cast<int64_t>(start), static_cast<int64_t>(stop), static_cast<int64_t>(step),
                dtype);
}
/// `count` values from `start` to `stop`, both included.
Tensor linspace(double start, double stop, int64_t count, DType dtype = DType::kF32);
/// Ones on the `k`-th diagonal of an [n, m] matrix (m = n if negative).
Tensor eye(int64_t n, int64_t m = -1, int64_t k = 0, DType dtype = DType::kF32);
/// Lower/upper triangle of the last two axes; the rest is zero.
Tensor tril(const Tensor& x, int64_t k = 0);
Tensor triu(const Tensor& x, int64_t k = 0);
/// 1 where `x` equals the class, in a new axis of `classes` entries; all zero out of range (J-041).
Tensor one_hot(const Tensor& x, int64_t classes, DType dtype = DType::kF32, int64_t axis = -1);

// Conversion (ops/convert.cpp)
/// Converts; to 16-bit floats rounds to nearest even, float to integer truncates. Strong result.
Tensor astype(const Tensor& x, DType dtype);
/// Same bits under another dtype of the same size. Not differentiable.
Tensor bitcast(const Tensor& x, DType dtype);
/// Converts both to their promoted type and broadcasts them to a common shape.
std::pair<Tensor, Tensor> promote_and_broadcast(const char* operation, const Tensor& a,
                                                const Tensor& b);
/// The common NumPy broadcast shape. @throws ShapeError naming `operation`.
Shape broadcast_shapes(const char* operation, const Shape& a, const Shape& b);

// Elementwise arithmetic (ops/arithmetic.cpp)
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
/// True division: integers give floats (J-017).
Tensor div(const Tensor& a, const Tensor& b);
/// floor(a / b); integer operands stay integers; the sign follows the divisor. Integers divided by
/// zero are as in JAX (docs/numerics.md).
Tensor floor_divide(const Tensor& a, const Tensor& b);
/// a - b * floor(a / b); of integers, 0 if b is 0.
Tensor mod(const Tensor& a, const Tensor& b);
/// C remainder: the sign follows the dividend.
Tensor rem(const Tensor& a, const Tensor& b);
/// @throws ValueError for an integer and a negative whole literal.
Tensor pow(const Tensor& a, const Tensor& b);
Tensor integer_pow(const Tensor& x, int exponent);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor atan2(const Tensor& y, const Tensor& x);
Tensor nextafter(const Tensor& x, const Tensor& towards);
Tensor logaddexp(const Tensor& a, const Tensor& b);
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor sign(const Tensor& x);
Tensor square(const Tensor& x);
Tensor reciprocal(const Tensor& x);
/// `condition ? a : b`; a NaN in the branch not taken reaches neither the value nor the gradient of
/// the other. A function with an infinite derivative there still multiplies it by zero: where(c,
/// log(where(c, x, 1)), 0).
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor clip(const Tensor& x, const Tensor& low, const Tensor& high);
Tensor stop_gradient(const Tensor& x);

Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator%(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& x);
Tensor operator==(const Tensor& a, const Tensor& b);
Tensor operator!=(const Tensor& a, const Tensor& b);
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator&(const Tensor& a, const Tensor& b);
Tensor operator|(const Tensor& a, const Tensor& b);
Tensor operator^(const Tensor& a, const Tensor& b);
Tensor operator~(const Tensor& x);
Tensor operator!(const Tensor& x);
Tensor operator&&(const Tensor& a, const Tensor& b);
Tensor operator||(const Tensor& a, const Tensor& b);
Tensor operator<<(const Tensor& a, const Tensor& b);
Tensor operator>>(const Tensor& a, const Tensor& b);

// Comparison and logic (ops/logic.cpp): results are bool
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor is_nan(const Tensor& x);
Tensor is_inf(const Tensor& x);
Tensor is_finite(const Tensor& x);
/// Bitwise on integers, logical on bools.
Tensor bitwise_and(const Tensor& a, const Tensor& b);
Tensor bitwise_or(const Tensor& a, const Tensor& b);
Tensor bitwise_xor(const Tensor& a, const Tensor& b);
Tensor bitwise_not(const Tensor& x);
Tensor shift_left(const Tensor& a, const Tensor& b);
Tensor shift_right_logical(const Tensor& a, const Tensor& b);
Tensor shift_right_arithmetic(const Tensor& a, const Tensor& b);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& x);

// Elementwise functions (ops/functions.cpp): integers are converted to f32 first
Tensor exp(const Tensor& x);
Tensor exp2(const Tensor& x);
Tensor expm1(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor cbrt(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tan(const Tensor& x);
Tensor asin(const Tensor& x);
Tensor acos(const Tensor& x);
Tensor atan(const Tensor& x);
Tensor sinh(const Tensor& x);
Tensor cosh(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor asinh(const Tensor& x);
Tensor acosh(const Tensor& x);
Tensor atanh(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor erfc(const Tensor& x);
Tensor erf_inv(const Tensor& x);
Tensor lgamma(const Tensor& x);
Tensor digamma(const Tensor& x);
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);  ///< half to even
Tensor trunc(const Tensor& x);
Tensor nan_to_num(const Tensor& x);

// Activations (ops/activation.cpp), J-034 … J-038
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);  ///< derivative 0 at 0
Tensor relu6(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
Tensor elu(const Tensor& x, double alpha = 1);
Tensor celu(const Tensor& x, double alpha = 1);
Tensor selu(const Tensor& x);
Tensor silu(const Tensor& x);
Tensor swish(const Tensor& x);
/// tanh form by default; the exact form is x/2 erfc(-x/sqrt 2).
Tensor gelu(const Tensor& x, bool approximate = true);
Tensor softplus(const Tensor& x);
Tensor log_sigmoid(const Tensor& x);
Tensor hard_tanh(const Tensor& x);
Tensor hard_sigmoid(const Tensor& x);
Tensor hard_silu(const Tensor& x);
Tensor soft_sign(const Tensor& x);
Tensor mish(const Tensor& x);
Tensor glu(const Tensor& x, int64_t axis = -1);

// Shapes (ops/shape_ops.cpp)
/// One size may be -1.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor ravel(const Tensor& x);
Tensor transpose(const Tensor& x);
Tensor transpose(const Tensor& x, const Axes& permutation);
Tensor swapaxes(const Tensor& x, int64_t a, int64_t b);
Tensor moveaxis(const Tensor& x, int64_t source, int64_t destination);
Tensor expand_dims(const Tensor& x, const Axes& axes);
inline Tensor expand_dims(const Tensor& x, int64_t axis) { return expand_dims(x, Axes{axis}); }
Tensor squeeze(const Tensor& x);
Tensor squeeze(const Tensor& x, const Axes& axes);
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// `x`'s dimension i becomes dimension `dimensions[i]` of `shape`; sizes of 1 repeat.
Tensor broadcast_in_dim(const Tensor& x, const Shape& shape, const Axes& dimensions);
Tensor concatenate(const std::vector<Tensor>& parts, int64_t axis = 0);
Tensor stack(const std::vector<Tensor>& parts, int64_t axis = 0);
std::vector<Tensor> split(const Tensor& x, int64_t sections, int64_t axis = 0);
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& indices, int64_t axis = 0);
Tensor flip(const Tensor& x, const Axes& axes);
Tensor tile(const Tensor& x, const Shape& repeats);
Tensor repeat(const Tensor& x, int64_t repeats, int64_t axis);
Tensor roll(const Tensor& x, int64_t shift, int64_t axis);
/// Low and high edge padding of one dimension, and padding between neighbours. Edges may be
/// negative (crop).
struct PadDim {
  int64_t low = 0, high = 0, interior = 0;
  bool operator==(const PadDim&) const = default;
  LINNET_FIELDS(low, high, interior)
};
Tensor pad(const Tensor& x, const std::vector<PadDim>& padding, const Tensor& value = 0);

// Indexing (ops/indexing.cpp)
/// x[start:stop:stride] per dimension, stop excluded; strides at least 1; empty strides mean 1.
Tensor slice(const Tensor& x, const std::vector<int64_t>& start, const std::vector<int64_t>& stop,
             const std::vector<int64_t>& strides = {});
/// x[start:stop] along one axis.
Tensor slice_axis(const Tensor& x, int64_t start, int64_t stop, int64_t axis);
/// x[index] along one axis, which disappears.
Tensor index_axis(const Tensor& x, int64_t index, int64_t axis);
/// `starts`: one zero-dimensional integer per dimension; clamped so that the slice fits (J-012).
Tensor dynamic_slice(const Tensor& x, const std::vector<Tensor>& starts, const Shape& sizes);
Tensor dynamic_update_slice(const Tensor& x, const Tensor& update,
                            const std::vector<Tensor>& starts);

/// What an index out of range does: NaN/smallest value, the nearest valid element, or no check
/// (undefined value).
enum class GatherMode : uint8_t { kFill, kClip, kPromiseInBounds };
/// XLA's dimension numbers.
struct GatherDims {
  Axes offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims,
      indices_batching_dims;
};
/// `indices`: [batch…, index vector]; the index vector is always the last dimension.
Tensor gather(const Tensor& x, const Tensor& indices, const GatherDims& dims,
              const Shape& slice_sizes, GatherMode mode = GatherMode::kFill);
struct ScatterDims {
  Axes update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims,
      operand_batching_dims, indices_batching_dims;
};
enum class ScatterMode : uint8_t { kDrop, kClip, kPromiseInBounds };
/// Duplicates accumulate, in index order.
Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode = ScatterMode::kDrop);
/// The last duplicate wins.
Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& updates,
               const ScatterDims& dims, ScatterMode mode = ScatterMode::kDrop);
/// Rows of `x` along `axis`; negative indices wrap once, others out of range give NaN (floats) or
/// the smallest value (J-011). In the clip mode negative indices mean the first row.
Tensor take(const Tensor& x, const Tensor& indices, int64_t axis = 0,
            GatherMode mode = GatherMode::kFill);
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis,
                       GatherMode mode = GatherMode::kFill);
/// Functional x.at[i].set/add(values) along axis 0; duplicates accumulate for add, in the common
/// dtype. The result has the dtype of `x`.
Tensor index_set(const Tensor& x, const Tensor& indices, const Tensor& values);
Tensor index_add(const Tensor& x, const Tensor& indices, const Tensor& values);

// Reductions (ops/reduce.cpp); no axes means all: sum(x), sum(x, 0), sum(x, {0, -1})
Tensor sum(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor mean(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor prod(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
/// @throws ShapeError for an empty reduction.
Tensor max(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor any(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor all(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
/// Population variance (ddof = 0).
Tensor var(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false,
           int64_t ddof = 0);
Tensor std_dev(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false,
               int64_t ddof = 0);
/// i32; first one wins; without axis over the flattened tensor.
/// @throws ShapeError if i32 cannot count the axis.
Tensor argmax(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
Tensor argmin(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
Tensor cumsum(const Tensor& x, int64_t axis, bool reverse = false);
Tensor cumprod(const Tensor& x, int64_t axis, bool reverse = false);
/// Equal elements share the derivative as in a tree of maxima (docs/numerics.md).
Tensor cummax(const Tensor& x, int64_t axis, bool reverse = false);
/// Ascending, stable, NaN last.
Tensor sort(const Tensor& x, int64_t axis = -1);
Tensor argsort(const Tensor& x, int64_t axis = -1);
/// Sum of squares over all elements of a list of tensors, in f32 at least (one primitive for
/// sharded programs).
Tensor sum_of_squares(const std::vector<Tensor>& tensors);
/// Square root of it (J-106).
Tensor global_norm(const std::vector<Tensor>& tensors);

// Softmax family, norms, losses, attention (ops/nn.cpp): composites
Tensor softmax(const Tensor& x, int64_t axis = -1);
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
Tensor logsumexp(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
/// Per-example loss: logits f[..., classes], labels integer [...]; NaN for labels out of range
/// (J-139).
Tensor softmax_cross_entropy_with_integer_labels(const Tensor& logits, const Tensor& labels);
/// -sum(labels * log_softmax(logits)) over `axis` (J-138).
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, int64_t axis = -1);
/// Mean of softmax_cross_entropy_with_integer_labels over the batch.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);
/// (x - mean) / sqrt(var + epsilon) over the trailing axes of `scale`'s rank, times scale plus bias
/// (either may be undefined). Statistics in f32 at least.
Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& bias, double epsilon = 1e-6,
                  int64_t axes = 1);
Tensor rms_norm(const Tensor& x, const Tensor& scale, double epsilon = 1e-6, int64_t axes = 1);
/// Training statistics over all axes but the last: {normalised output, mean [channels], variance
/// [channels]}. x: [..., channels]; scale, bias: [channels], may be undefined.
struct BatchNormResult {
  Tensor y, mean, variance;
};
BatchNormResult batch_norm_train(const Tensor& x, const Tensor& scale, const Tensor& bias,
                                 double epsilon = 1e-5);
Tensor batch_norm_inference(const Tensor& x, const Tensor& mean, const Tensor& variance,
                            const Tensor& scale, const Tensor& bias, double epsilon = 1e-5);
struct AttentionOptions {
  std::optional<double> scale = {};  ///< of q · k; by default 1 / sqrt(dim)
  bool causal = false;               ///< a query looks at keys up to its own position
  /// Integers [batch]: keys from there on are masked, results of queries from there on are zero.
  Tensor query_seq_lengths = {}, key_value_seq_lengths = {};
  /// Keys to the left and to the right of a query's position that it looks at.
  std::optional<std::pair<int64_t, int64_t>> local_window_size = {};
  double dropout_rate = 0;         ///< of the weights; above 0 `dropout_key` is needed
  bool broadcast_dropout = false;  ///< one decision for all batches and heads
  Tensor dropout_key = {};         ///< data of a key, u32[2]
};
/// softmax(scale q · k + bias, masked) · v (J-042). q [batch, q_len, heads, dim], k, v [batch,
/// kv_len, kv_heads, dim], where heads is a multiple of kv_heads; mask bool or undefined, true
/// where a query may look; bias and mask broadcast to [batch, heads, q_len, kv_len]. Softmax in f32
/// at least. A query that may look nowhere looks everywhere alike.
/// @throws ShapeError or DTypeError if the operands do not fit, ValueError for dropout without key.
Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor& bias = {}, const Tensor& mask = {},
                             const AttentionOptions& options = {});
struct AttentionResult {
  Tensor y;            ///< [batch, q_len, heads, dim of v]
  Tensor log_sum_exp;  ///< of the masked scores, [batch, q_len, heads], in f32 at least
};
/// The same with the log-sum-exp of each row of scores; both are differentiable.
AttentionResult dot_product_attention_with_residual(const Tensor& q, const Tensor& k,
                                                    const Tensor& v, const Tensor& bias = {},
                                                    const Tensor& mask = {},
                                                    const AttentionOptions& options = {});
/// The weights [batch, heads, q_len, kv_len] of the values in it, before dropout, in q's dtype.
Tensor dot_product_attention_weights(const Tensor& q, const Tensor& k, const Tensor& bias = {},
                                     const Tensor& mask = {}, const AttentionOptions& options = {});
/// mask ? x / keep : 0, with the mask drawn from `key` in f32 (docs/rng.md section 6); `key_data`
/// u32[2].
Tensor dropout(const Tensor& x, const Tensor& key_data, double rate,
               const Axes& broadcast_axes = {});

// Linear algebra and windows (ops/dot.cpp, ops/conv.cpp, ops/window.cpp)
struct DotDims {
  Axes lhs_contract = {}, rhs_contract = {}, lhs_batch = {}, rhs_batch = {};
};
/// Result order: batch, free of lhs, free of rhs (J-022). 16-bit floats accumulate in f32.
Tensor dot_general(const Tensor& lhs, const Tensor& rhs, const DotDims& dims,
                   std::optional<DType> preferred_element_type = {});
/// NumPy matmul: 1-D operands are promoted, leading axes broadcast.
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor dot(const Tensor& a, const Tensor& b);
Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes);
Tensor outer(const Tensor& a, const Tensor& b);
/// Explicit or implicit output, ellipsis, repeated labels, any number of operands (J-023).
Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands);

struct ConvOptions {
  std::vector<int64_t> strides = {};  ///< per spatial dimension; empty means 1
  std::vector<std::pair<int64_t, int64_t>> padding =
      {};  ///< low, high per spatial dimension; empty means 0
  std::vector<int64_t> lhs_dilation = {}, rhs_dilation = {};  ///< empty means 1
  int64_t feature_groups = 1, batch_groups = 1;
};
/// x: [batch, spatial…, in], w: [spatial…, in / groups, out] -> [batch, spatial…, out] (J-025).
/// 1 to 3 spatial dimensions.
Tensor conv_general_dilated(const Tensor& x, const Tensor& w, const ConvOptions& options = {});
/// Padding that makes ceil(size / stride) outputs: SAME; none: VALID (J-025).
std::vector<std::pair<int64_t, int64_t>> resolve_padding(std::string_view same_or_valid,
                                                         std::span<const int64_t> sizes,
                                                         std::span<const int64_t> window,
                                                         std::span<const int64_t> strides,
                                                         std::span<const int64_t> dilation = {});

enum class WindowReduction : uint8_t { kSum, kMax, kMin };
struct WindowOptions {
  Shape window;  ///< one entry per dimension of x
  std::vector<int64_t> strides = {};
  std::vector<std::pair<int64_t, int64_t>> padding = {};
  std::vector<int64_t> base_dilation = {}, window_dilation = {};
};
/// Reduces each window; padding counts as the identity (0, -inf, +inf). The gradient of max goes to
/// the first maximum of a window (J-028).
Tensor reduce_window(const Tensor& x, WindowReduction reduction, const WindowOptions& options);

// Graph helpers
/// Identity that the optimiser does not look through: keeps recomputation apart from the original.
TensorList optimization_barrier(const TensorList& tensors);

}  // namespace linnet

#pragma GCC visibility pop
