// The public reductions, made of the reduction primitives.
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operand_device.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

Tensor reduce_with(const Primitive& primitive, const Tensor& x, const Axes& axes, bool keepdims) {
  const Tensor reduced = axes.empty() ? x : emit_one(primitive, {x}, ReduceParams{axes});
  if (!keepdims) return reduced;
  Shape shape = x.shape();
  for (int64_t axis : axes) shape[axis] = 1;
  const OperandDevice here(Inputs(&x, 1));  // the result of a host's array stays on the host
  return reshape(reduced, shape);
}

int64_t reduced_count(const Tensor& x, const Axes& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.shape()[axis];
  return count;
}

Tensor extreme(const char* operation, const Primitive& primitive, const Tensor& x,
               const ReductionAxes& axes, bool keepdims) {
  const Axes reduced = reduced_axes(operation, x, axes);
  if (reduced_count(x, reduced) == 0) {
    fail<ShapeError>("{}: no elements of {} along axes {}", operation, type_of(x),
                     to_string(reduced));
  }
  return reduce_with(primitive, x, reduced, keepdims);
}

Tensor as_bool(const Tensor& x) {
  return x.dtype() == DType::kBool ? x : not_equal(x, scalar(0, x.dtype()));
}

/// Floats of 16 bits are averaged in f32; integers become f32.
Tensor for_statistics(const Tensor& x) {
  return size_of(x.dtype()) < 4 || !is_inexact(x.dtype()) ? astype(x, DType::kF32) : x;
}

Tensor in_dtype_of(const Tensor& x, const Tensor& result) {
  return is_floating(x.dtype()) && result.dtype() != x.dtype() ? astype(result, x.dtype()) : result;
}

Tensor variance(const char* operation, const Tensor& x, const ReductionAxes& axes, bool keepdims,
                int64_t ddof) {
  const Axes reduced = reduced_axes(operation, x, axes);
  const OperandDevice here(Inputs(&x, 1));
  const Tensor wide = for_statistics(x);
  const Tensor centred = wide - mean(wide, reduced, true);
  const double divisor = static_cast<double>(reduced_count(x, reduced) - ddof);
  // Without degrees of freedom left the variance is undefined: NaN, never negative or infinite.
  const Tensor total = sum(abs_squared(centred), reduced, keepdims);
  return total / (divisor > 0 ? divisor : std::numeric_limits<double>::quiet_NaN());
}

Tensor arg_reduce(const char* operation, const Primitive& primitive, const Tensor& x,
                  std::optional<int64_t> axis, bool keepdims) {
  if (!axis) {
    const Tensor at = emit_one(primitive, {ravel(x)}, ArgReduceParams{0});
    return keepdims ? reshape(at, Shape(x.rank(), 1)) : at;
  }
  const int64_t along = normalize_axis(*axis, x.rank(), operation);
  const Tensor at = emit_one(primitive, {x}, ArgReduceParams{along});
  return keepdims ? expand_dims(at, along) : at;
}

}  // namespace

Tensor sum(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  const DType dtype = accumulation_dtype(x.dtype());
  return reduce_with(reduce_sum_primitive(), x.dtype() == dtype ? x : astype(x, dtype),
                     reduced_axes("sum", x, axes), keepdims);
}

Tensor prod(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  const DType dtype = accumulation_dtype(x.dtype());
  return reduce_with(reduce_prod_primitive(), x.dtype() == dtype ? x : astype(x, dtype),
                     reduced_axes("prod", x, axes), keepdims);
}

Tensor mean(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  const Axes reduced = reduced_axes("mean", x, axes);
  const double count = static_cast<double>(reduced_count(x, reduced));
  return in_dtype_of(x, sum(for_statistics(x), reduced, keepdims) / count);
}

Tensor max(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return extreme("max", reduce_max_primitive(), x, axes, keepdims);
}

Tensor min(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return extreme("min", reduce_min_primitive(), x, axes, keepdims);
}

Tensor any(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return reduce_with(reduce_or_primitive(), as_bool(x), reduced_axes("any", x, axes), keepdims);
}

Tensor all(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return reduce_with(reduce_and_primitive(), as_bool(x), reduced_axes("all", x, axes), keepdims);
}

Tensor var(const Tensor& x, const ReductionAxes& axes, bool keepdims, int64_t ddof) {
  return in_dtype_of(x, variance("var", x, axes, keepdims, ddof));
}

Tensor std_dev(const Tensor& x, const ReductionAxes& axes, bool keepdims, int64_t ddof) {
  return in_dtype_of(x, sqrt(variance("std_dev", x, axes, keepdims, ddof)));
}

Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce("argmax", argmax_primitive(), x, axis, keepdims);
}

Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce("argmin", argmin_primitive(), x, axis, keepdims);
}

Tensor sum_of_squares(const std::vector<Tensor>& tensors) {
  if (tensors.empty()) return scalar(0, DType::kF32);
  TensorList operands;
  for (const Tensor& t : tensors) {
    if (is_complex(t.dtype()))
      operands.insert(operands.end(), {real(t), imag(t)});
    else
      operands.push_back(is_floating(t.dtype()) ? t : astype(t, DType::kF32));
  }
  return emit_one(sum_of_squares_primitive(), operands);
}

Tensor global_norm(const std::vector<Tensor>& tensors) { return sqrt(sum_of_squares(tensors)); }

}  // namespace linnet
