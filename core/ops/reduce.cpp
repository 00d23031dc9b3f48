// Reductions: primitives with their rules.
#include "core/ops/reduce.h"

#include <limits>

#include "core/ops/dims.h"
#include "core/ops/families.h"
#include "core/ops/shape_ops.h"
#include "linnet/detail/format.h"

namespace linnet {

Axes reduced_axes(const char* operation, const Tensor& x, const ReductionAxes& axes) {
  if (!axes.list()) return all_axes(x.rank());
  Axes out = normalize_axes(*axes.list(), x.rank(), operation);
  std::sort(out.begin(), out.end());
  return out;
}

Tensor expand_reduced(const Tensor& reduced, const Shape& shape, const Axes& axes) {
  return broadcast_in_dim(reduced, shape, complement(axes, shape.size()));
}

DType accumulation_dtype(DType dtype) {
  if (dtype == DType::kBool || (is_signed_integer(dtype) && size_of(dtype) < 4)) return DType::kI32;
  if (is_unsigned_integer(dtype) && size_of(dtype) < 4) return DType::kU32;
  return dtype;
}

void require_i32_positions(const char* operation, int64_t axis, const Tensor& x) {
  if (x.shape()[axis] <= std::numeric_limits<int32_t>::max()) return;
  fail<ShapeError>("{}: axis {} of {} is too long for i32 positions", operation, axis, type_of(x));
}

namespace {

Shape reduced_shape(const ReduceParams& p, const Shape& shape) {
  Shape out;
  size_t next = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (next < p.axes.size() && p.axes[next] == static_cast<int64_t>(i))
      ++next;
    else
      out.push_back(shape[i]);
  }
  return out;
}

TypeList infer_reduce(const ReduceParams& p, Inputs x) {
  return {{x[0].dtype(), reduced_shape(p, x[0].shape()), x[0].weak(), x[0].device()}};
}

template <const Primitive& (*kPrimitive)()>
TypeList infer_boolean(const ReduceParams& p, Inputs x) {
  if (x[0].dtype() != DType::kBool) {
    fail<DTypeError>("{}: expected bool, got {}", kPrimitive().name, type_of(x[0]));
  }
  return infer_reduce(p, x);
}

template <FactorKind kKind>
DimMap reduced_dims(const ReduceParams& p, Inputs x) {
  return dims::reduced(x[0], p.axes, kKind);
}

TensorList transpose_reduce_sum(const ReduceParams& p, Inputs x, const Tensor& ct) {
  return {expand_reduced(ct, x[0].shape(), p.axes)};
}

/// Where the extreme was attained, in the operand's dtype, and how often. Equal extremes share the
/// derivative evenly (J-019).
struct Attained {
  Tensor mask, count;
};
Attained attained(const ReduceParams& p, const Tensor& x, const Tensor& y) {
  const Tensor mask = astype(equal(x, expand_reduced(y, x.shape(), p.axes)), x.dtype());
  return {mask, sum(mask, p.axes)};
}

TensorList vjp_extreme(const ReduceParams& p, Inputs x, Outputs y, Inputs cts) {
  const Attained at = attained(p, x[0], y[0]);
  return {expand_reduced(cts[0] / at.count, x[0].shape(), p.axes) * at.mask};
}

TensorList jvp_extreme(const ReduceParams& p, Inputs x, Outputs y, Inputs tangents) {
  const Attained at = attained(p, x[0], y[0]);
  return {sum(tangents[0] * at.mask, p.axes) / at.count};
}

/// Product of all other elements along the reduced axes. Without division, so that zeros are exact.
Tensor product_of_others(const ReduceParams& p, const Tensor& x) {
  Axes order = complement(p.axes, x.rank());
  const size_t kept = order.size();
  order.append(p.axes.begin(), p.axes.end());
  const Tensor moved = transpose(x, order);
  Shape lines(moved.shape().begin(), moved.shape().begin() + static_cast<int64_t>(kept));
  int64_t length = 1;
  for (int64_t axis : p.axes) length *= x.shape()[axis];
  lines.push_back(length);

  const int64_t axis = static_cast<int64_t>(kept);
  std::vector<PadDim> before(kept + 1), after(kept + 1);
  before.back() = {1, -1, 0};
  after.back() = {-1, 1, 0};
  const Tensor flat = reshape(moved, lines);
  const Tensor others =
      cumprod(pad(flat, before, 1), axis) * cumprod(pad(flat, after, 1), axis, true);
  Axes back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int64_t>(i);
  return transpose(reshape(others, moved.shape()), back);
}

TensorList vjp_reduce_prod(const ReduceParams& p, Inputs x, Outputs, Inputs cts) {
  if (x[0].size() == 0) return {zeros_like(x[0])};
  return {expand_reduced(cts[0], x[0].shape(), p.axes) * product_of_others(p, x[0])};
}

TensorList jvp_reduce_prod(const ReduceParams& p, Inputs x, Outputs, Inputs tangents) {
  if (x[0].size() == 0) return {Tensor()};
  return {sum(tangents[0] * product_of_others(p, x[0]), p.axes)};
}

template <const Primitive& (*kPrimitive)()>
TypeList infer_arg_reduce(const ArgReduceParams& p, Inputs x) {
  Shape shape = x[0].shape();
  if (shape[p.axis] == 0) {
    fail<ShapeError>("{}: axis {} of {} has no elements", kPrimitive().name, p.axis, type_of(x[0]));
  }
  require_i32_positions(kPrimitive().name.c_str(), p.axis, x[0]);
  shape.erase(static_cast<size_t>(p.axis));
  return {{DType::kI32, shape, false, x[0].device()}};
}

DimMap arg_reduced_dims(const ArgReduceParams& p, Inputs x) {
  return dims::reduced(x[0], {p.axis}, FactorKind::kWhole);
}

DType norm_dtype(Inputs x) {
  for (const Tensor& t : x) {
    if (t.dtype() == DType::kF64) return DType::kF64;
  }
  return DType::kF32;
}

TypeList infer_sum_of_squares(const NoParams&, Inputs x) {
  for (const Tensor& t : x) {
    if (!is_floating(t.dtype())) {
      fail<DTypeError>("sum_of_squares: expected floating dtypes, got {}", type_of(t));
    }
  }
  return {{norm_dtype(x), {}, false, x.empty() ? default_device() : x[0].device()}};
}

TensorList vjp_sum_of_squares(const NoParams&, Inputs x, Outputs, Inputs cts) {
  const Tensor twice = cts[0] * 2;
  TensorList out;
  for (const Tensor& t : x) out.push_back(astype(twice * astype(t, twice.dtype()), t.dtype()));
  return out;
}

TensorList jvp_sum_of_squares(const NoParams&, Inputs x, Outputs y, Inputs tangents) {
  const DType dtype = y[0].dtype();
  Tensor total;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!tangents[i].defined()) continue;
    const Tensor part = sum(astype(x[i], dtype) * astype(tangents[i], dtype)) * 2;
    total = total.defined() ? total + part : part;
  }
  return {total};
}

TensorList batch_sum_of_squares(const NoParams&, const BatchedInputs& in) {
  const DType dtype = norm_dtype(in.x);
  Tensor total = zeros({in.size}, dtype);
  for (size_t i = 0; i < in.x.size(); ++i) {
    if (!in.batched[i]) {
      total = total + astype(sum_of_squares({in.x[i]}), dtype);
      continue;
    }
    Axes axes = all_axes(in.x[i].rank());
    axes.erase(0);
    total = total + sum(square(astype(in.x[i], dtype)), axes);
  }
  return {total};
}

}  // namespace

const Primitive& reduce_sum_primitive() {
  static const Primitive& p = define(LinearMap<ReduceParams>{.name = "reduce_sum",
                                                             .infer = infer_reduce,
                                                             .transpose = transpose_reduce_sum,
                                                             .dims = reduced_dims<FactorKind::kSum>,
                                                             .complex = true});
  return p;
}

const Primitive& reduce_prod_primitive() {
  static const Primitive& p = define(Smooth<ReduceParams>{.name = "reduce_prod",
                                                          .infer = infer_reduce,
                                                          .vjp = vjp_reduce_prod,
                                                          .jvp = jvp_reduce_prod,
                                                          .dims = reduced_dims<FactorKind::kWhole>,
                                                          .saves_outputs = 0,
                                                          .complex = true});
  return p;
}

const Primitive& reduce_max_primitive() {
  static const Primitive& p = define(Smooth<ReduceParams>{.name = "reduce_max",
                                                          .infer = infer_reduce,
                                                          .vjp = vjp_extreme,
                                                          .jvp = jvp_extreme,
                                                          .dims = reduced_dims<FactorKind::kMax>});
  return p;
}

const Primitive& reduce_min_primitive() {
  static const Primitive& p = define(Smooth<ReduceParams>{.name = "reduce_min",
                                                          .infer = infer_reduce,
                                                          .vjp = vjp_extreme,
                                                          .jvp = jvp_extreme,
                                                          .dims = reduced_dims<FactorKind::kMin>});
  return p;
}

const Primitive& reduce_and_primitive() {
  static const Primitive& p =
      define(Opaque<ReduceParams>{.name = "reduce_and",
                                  .infer = infer_boolean<reduce_and_primitive>,
                                  .dims = reduced_dims<FactorKind::kMin>});
  return p;
}

const Primitive& reduce_or_primitive() {
  static const Primitive& p =
      define(Opaque<ReduceParams>{.name = "reduce_or",
                                  .infer = infer_boolean<reduce_or_primitive>,
                                  .dims = reduced_dims<FactorKind::kMax>});
  return p;
}

const Primitive& argmax_primitive() {
  static const Primitive& p = define(Opaque<ArgReduceParams>{
      .name = "argmax", .infer = infer_arg_reduce<argmax_primitive>, .dims = arg_reduced_dims});
  return p;
}

const Primitive& argmin_primitive() {
  static const Primitive& p = define(Opaque<ArgReduceParams>{
      .name = "argmin", .infer = infer_arg_reduce<argmin_primitive>, .dims = arg_reduced_dims});
  return p;
}

const Primitive& sum_of_squares_primitive() {
  static const Primitive& p = define(Smooth<NoParams>{.name = "sum_of_squares",
                                                      .infer = infer_sum_of_squares,
                                                      .vjp = vjp_sum_of_squares,
                                                      .jvp = jvp_sum_of_squares,
                                                      .batch = batch_sum_of_squares,
                                                      .saves_outputs = 0});
  return p;
}

void define_reductions() {
  reduce_sum_primitive();
  reduce_prod_primitive();
  reduce_max_primitive();
  reduce_min_primitive();
  reduce_and_primitive();
  reduce_or_primitive();
  argmax_primitive();
  argmin_primitive();
  sum_of_squares_primitive();
  define_cumulative();
  define_sorting();
}

}  // namespace linnet
