// Cumulative sums, products and maxima.
#include "core/ops/dims.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

TypeList infer_cumulative(const CumulativeParams&, Inputs x) { return {x[0].type()}; }

DimMap cumulative_dims(const CumulativeParams& p, Inputs x) {
  return dims::aligned(x, {p.axis}, x[0].shape());
}

/// Element i of the result is element i - distance of `x` (i + distance if `backwards`), or `fill`.
Tensor delayed(const Tensor& x, int64_t axis, int64_t distance, bool backwards,
               const Tensor& fill) {
  std::vector<PadDim> padding(x.rank());
  const int64_t d = std::min(distance, x.shape()[axis]);
  padding[axis] = backwards ? PadDim{-d, d, 0} : PadDim{d, -d, 0};
  return pad(x, padding, fill);
}

/// s[i] = b[i] + a[i] s[i-1] along `axis` (s[i+1] if `backwards`), in logarithmically many steps:
/// after each, (a, b) maps the state from twice as far away.
Tensor linear_recurrence(Tensor a, Tensor b, int64_t axis, bool backwards) {
  for (int64_t d = 1; d < b.shape()[axis]; d *= 2) {
    b = b + a * delayed(b, axis, d, backwards, 0);
    a = a * delayed(a, axis, d, backwards, 0);
  }
  return b;
}

/// Products of the elements strictly before each one. No division, so zeros are exact.
Tensor exclusive_cumprod(const CumulativeParams& p, const Tensor& x) {
  return cumprod(delayed(x, p.axis, 1, p.reverse, 1), p.axis, p.reverse);
}

/// dy[k]/dx[i] is the product of the elements before i times those between i and k. The second
/// factor, summed over k with the cotangents, is a recurrence that runs the other way.
TensorList vjp_cumprod(const CumulativeParams& p, Inputs x, Outputs, Inputs cts) {
  const Tensor next = delayed(x[0], p.axis, 1, !p.reverse, 0);
  return {exclusive_cumprod(p, x[0]) * linear_recurrence(next, cts[0], p.axis, !p.reverse)};
}

/// dy[k] = dy[k-1] x[k] + y[k-1] dx[k].
TensorList jvp_cumprod(const CumulativeParams& p, Inputs x, Outputs, Inputs tangents) {
  return {linear_recurrence(x[0], exclusive_cumprod(p, x[0]) * tangents[0], p.axis, p.reverse)};
}

/// Every second element along `axis`, from `start`.
Tensor every_second(const Tensor& x, int64_t axis, int64_t start) {
  std::vector<int64_t> from(x.rank(), 0), to(x.shape().begin(), x.shape().end()),
      strides(x.rank(), 1);
  from[axis] = start;
  strides[axis] = 2;
  return slice(x, from, to, strides);
}

/// a[0], b[0], a[1], b[1], …; `a` may have one element more.
Tensor interleaved(const Tensor& a, const Tensor& b, int64_t axis) {
  const int64_t pairs = b.shape()[axis];
  Shape shape = b.shape();
  shape[axis] = 2 * pairs;
  const Tensor paired = reshape(stack({slice_axis(a, 0, pairs, axis), b}, axis + 1), shape);
  if (a.shape()[axis] == pairs) return paired;
  return concatenate({paired, slice_axis(a, pairs, pairs + 1, axis)}, axis);
}

/// Running maxima as a tree of maxima of pairs, which is that of `jax.lax.associative_scan`: equal
/// elements share the derivative as the pairs on their way do.
Tensor running_maximum(const Tensor& x, int64_t axis) {
  const int64_t size = x.shape()[axis];
  if (size < 2) return x;
  const Tensor even = every_second(x, axis, 0), odd = every_second(x, axis, 1);
  const int64_t pairs = odd.shape()[axis];
  const Tensor of_odd = running_maximum(maximum(slice_axis(even, 0, pairs, axis), odd), axis);
  const int64_t later = even.shape()[axis] - 1;
  const Tensor of_even = concatenate(
      {slice_axis(even, 0, 1, axis),
       maximum(slice_axis(of_odd, 0, later, axis), slice_axis(even, 1, later + 1, axis))},
      axis);
  return interleaved(of_even, of_odd, axis);
}

TensorList decompose_cummax(const CumulativeParams& p, Inputs x) {
  if (!p.reverse) return {running_maximum(x[0], p.axis)};
  return {flip(running_maximum(flip(x[0], {p.axis}), p.axis), {p.axis})};
}

Tensor cumulate(const char* operation, const Primitive& primitive, const Tensor& x, int64_t axis,
                bool reverse) {
  const CumulativeParams params{normalize_axis(axis, x.rank(), operation), reverse};
  return emit_one(primitive, {x}, params);
}

}  // namespace

const Primitive& cumsum_primitive() {
  static const Primitive& p = define(LinearMap<CumulativeParams>{
      .name = "cumsum",
      .infer = infer_cumulative,
      .transpose = [](const CumulativeParams& q, Inputs,
                      const Tensor& ct) { return TensorList{cumsum(ct, q.axis, !q.reverse)}; },
      .dims = cumulative_dims,
      .complex = true});
  return p;
}

const Primitive& cumprod_primitive() {
  static const Primitive& p = define(Smooth<CumulativeParams>{.name = "cumprod",
                                                              .infer = infer_cumulative,
                                                              .vjp = vjp_cumprod,
                                                              .jvp = jvp_cumprod,
                                                              .dims = cumulative_dims,
                                                              .saves_outputs = 0,
                                                              .complex = true});
  return p;
}

const Primitive& cummax_primitive() {
  static const Primitive& p = define(Composite<CumulativeParams>{.name = "cummax",
                                                                 .decompose = decompose_cummax,
                                                                 .infer = infer_cumulative,
                                                                 .dims = cumulative_dims});
  return p;
}

void define_cumulative() {
  cumsum_primitive();
  cumprod_primitive();
  cummax_primitive();
}

Tensor cumsum(const Tensor& x, int64_t axis, bool reverse) {
  const Tensor numbers = x.dtype() == DType::kBool ? astype(x, DType::kI32) : x;
  return cumulate("cumsum", cumsum_primitive(), numbers, axis, reverse);
}

Tensor cumprod(const Tensor& x, int64_t axis, bool reverse) {
  const Tensor numbers = x.dtype() == DType::kBool ? astype(x, DType::kI32) : x;
  return cumulate("cumprod", cumprod_primitive(), numbers, axis, reverse);
}

Tensor cummax(const Tensor& x, int64_t axis, bool reverse) {
  return cumulate("cummax", cummax_primitive(), x, axis, reverse);
}

}  // namespace linnet
