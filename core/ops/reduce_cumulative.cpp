// Cumulative sums, products and maxima.
#include "core/base/format.h"
#include "core/ops/dims.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"

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

/// Where the running maximum was found: the first of equal elements.
Tensor positions(const CumulativeParams& p, const Tensor& x, const Tensor& y) {
  const int64_t size = x.shape()[p.axis];
  Tensor order = iota(DType::kI32, x.shape(), p.axis);
  if (p.reverse) order = Tensor(size - 1) - order;
  // NaN is a new maximum too, hence the negated comparison.
  const Tensor before = delayed(y, p.axis, 1, p.reverse, 0);
  const Tensor found = logical_or(equal(order, 0), logical_not(less_equal(x, before)));
  const Tensor last = cummax(where(found, order, zeros_like(order)), p.axis, p.reverse);
  return p.reverse ? Tensor(size - 1) - last : last;
}

GatherDims along_axis(int64_t axis, size_t rank) {
  GatherDims dims;
  dims.collapsed_slice_dims = dims.start_index_map = {axis};
  dims.operand_batching_dims = dims.indices_batching_dims = complement({axis}, rank);
  return dims;
}

TensorList vjp_cummax(const CumulativeParams& p, Inputs x, Outputs y, Inputs cts) {
  if (x[0].size() == 0) return {cts[0]};
  const GatherDims dims = along_axis(p.axis, x[0].rank());
  const Tensor at = expand_dims(positions(p, x[0], y[0]), -1);
  return {
      scatter_add(zeros_like(cts[0]), at, cts[0],
                  {{}, {p.axis}, {p.axis}, dims.operand_batching_dims, dims.indices_batching_dims},
                  ScatterMode::kPromiseInBounds)};
}

TensorList jvp_cummax(const CumulativeParams& p, Inputs x, Outputs y, Inputs tangents) {
  if (x[0].size() == 0) return {tangents[0]};
  const Tensor at = expand_dims(positions(p, x[0], y[0]), -1);
  return {gather(tangents[0], at, along_axis(p.axis, x[0].rank()), Shape(x[0].rank(), 1),
                 GatherMode::kPromiseInBounds)};
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
      .dims = cumulative_dims});
  return p;
}

const Primitive& cumprod_primitive() {
  static const Primitive& p = define(Smooth<CumulativeParams>{.name = "cumprod",
                                                              .infer = infer_cumulative,
                                                              .vjp = vjp_cumprod,
                                                              .jvp = jvp_cumprod,
                                                              .dims = cumulative_dims,
                                                              .saves_outputs = 0});
  return p;
}

const Primitive& cummax_primitive() {
  static const Primitive& p = define(Smooth<CumulativeParams>{.name = "cummax",
                                                              .infer = infer_cumulative,
                                                              .vjp = vjp_cummax,
                                                              .jvp = jvp_cummax,
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
