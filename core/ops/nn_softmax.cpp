#include <limits>

#include "core/ops/dims.h"
#include "core/ops/nn.h"
#include "core/ops/reduce.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

void check_axis(const char* name, int64_t axis, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail<DTypeError>("{}: expected a floating dtype, got {}", name, to_string(x.type()));
  normalize_axis(axis, x.rank(), name);
}

TensorType strong(const Tensor& x) { return {x.dtype(), x.shape(), false, x.device()}; }

TypeList infer_softmax(const AxisParams& p, Inputs x) {
  check_axis("softmax", p.axis, x[0]);
  return {strong(x[0])};
}

TypeList infer_softmax_backward(const AxisParams& p, Inputs x) {
  check_axis("softmax_backward", p.axis, x[0]);
  if (x[1].shape() != x[0].shape() || x[1].dtype() != x[0].dtype()) {
    fail<ShapeError>("softmax_backward: types differ: {} and {}", to_string(x[0].type()),
                     to_string(x[1].type()));
  }
  return {strong(x[0])};
}

/// What is made of it does not depend on the shift, so neither do derivatives.
Tensor shifted_by_max(const Tensor& x, int64_t axis) {
  return sub(x, stop_gradient(largest(x, {axis})));
}

TensorList decompose_softmax(const AxisParams& p, Inputs x) {
  const Tensor e = exp(shifted_by_max(widened(x[0]), p.axis));
  return {converted(div(e, sum(e, Axes{p.axis}, true)), x[0].dtype())};
}

TensorList decompose_log_softmax(const AxisParams& p, Inputs x) {
  const Tensor shifted = shifted_by_max(widened(x[0]), p.axis);
  return {converted(sub(shifted, log(sum(exp(shifted), Axes{p.axis}, true))), x[0].dtype())};
}

TensorList decompose_softmax_backward(const AxisParams& p, Inputs x) {
  const Tensor y = widened(x[0]), dy = widened(x[1]);
  return {converted(mul(y, sub(dy, sum(mul(y, dy), Axes{p.axis}, true))), x[0].dtype())};
}

TensorList decompose_log_softmax_backward(const AxisParams& p, Inputs x) {
  const Tensor y = widened(x[0]), dy = widened(x[1]);
  return {converted(sub(dy, mul(exp(y), sum(dy, Axes{p.axis}, true))), x[0].dtype())};
}

DimMap softmax_dims(const AxisParams& p, Inputs x) {
  return dims::aligned(x, {p.axis}, x[0].shape());
}

template <const Primitive& (*backward)()>
TensorList vjp_of_output(const AxisParams& p, Inputs, Outputs y, Inputs cts) {
  return emit(backward(), {y[0], cts[0]}, p);
}

Shape without_axes(const Shape& shape, const Axes& axes) {
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) == axes.end())
      out.push_back(shape[i]);
  }
  return out;
}

TypeList infer_logsumexp(const LogSumExpParams& p, Inputs x) {
  for (int64_t axis : p.axes) check_axis("logsumexp", axis, x[0]);
  return {{x[0].dtype(), without_axes(x[0].shape(), p.axes), false, x[0].device()}};
}

TensorList decompose_logsumexp(const LogSumExpParams& p, Inputs x) {
  const Tensor value = widened(x[0]);
  const Tensor shift = stop_gradient(exponent_shift(value, p.axes));
  const Tensor out = add(log(sum(exp(sub(value, shift)), p.axes, true)), shift);
  return {converted(squeeze(out, p.axes), x[0].dtype())};
}

/// From the operand alone: the result is rounded to its own size, and exponentials of the distance
/// from it are off by as much as that.
TensorList vjp_logsumexp(const LogSumExpParams& p, Inputs x, Outputs, Inputs cts) {
  const Tensor value = widened(x[0]);
  const Tensor e = exp(sub(value, stop_gradient(exponent_shift(value, p.axes))));
  const Tensor share = div(e, sum(e, p.axes, true));
  return {converted(mul(expand_dims(widened(cts[0]), p.axes), share), x[0].dtype())};
}

DimMap logsumexp_dims(const LogSumExpParams& p, Inputs x) {
  return dims::reduced(x[0], p.axes, FactorKind::kWhole);
}

}  // namespace

Tensor largest(const Tensor& x, const Axes& axes) {
  Shape kept = x.shape();
  bool empty = false;
  for (int64_t axis : axes) {
    empty |= kept[axis] == 0;
    kept[axis] = 1;
  }
  if (empty) return full(kept, -std::numeric_limits<double>::infinity(), x.dtype());
  return max(x, axes, true);
}

Tensor exponent_shift(const Tensor& x, const Axes& axes) {
  const Tensor top = largest(x, axes);
  return where(is_finite(top), top, zeros_like(top));
}

const Primitive& softmax_primitive() {
  static const Primitive& p =
      define(Composite<AxisParams>{.name = "softmax",
                                   .decompose = decompose_softmax,
                                   .infer = infer_softmax,
                                   .vjp = vjp_of_output<softmax_backward_primitive>,
                                   .dims = softmax_dims,
                                   .saves_inputs = 0});
  return p;
}

const Primitive& log_softmax_primitive() {
  static const Primitive& p =
      define(Composite<AxisParams>{.name = "log_softmax",
                                   .decompose = decompose_log_softmax,
                                   .infer = infer_softmax,
                                   .vjp = vjp_of_output<log_softmax_backward_primitive>,
                                   .dims = softmax_dims,
                                   .saves_inputs = 0});
  return p;
}

const Primitive& softmax_backward_primitive() {
  static const Primitive& p = define(Composite<AxisParams>{.name = "softmax_backward",
                                                           .decompose = decompose_softmax_backward,
                                                           .infer = infer_softmax_backward,
                                                           .dims = softmax_dims});
  return p;
}

const Primitive& log_softmax_backward_primitive() {
  static const Primitive& p =
      define(Composite<AxisParams>{.name = "log_softmax_backward",
                                   .decompose = decompose_log_softmax_backward,
                                   .infer = infer_softmax_backward,
                                   .dims = softmax_dims});
  return p;
}

const Primitive& logsumexp_primitive() {
  static const Primitive& p = define(Composite<LogSumExpParams>{.name = "logsumexp",
                                                                .decompose = decompose_logsumexp,
                                                                .infer = infer_logsumexp,
                                                                .vjp = vjp_logsumexp,
                                                                .dims = logsumexp_dims,
                                                                .saves_outputs = 0});
  return p;
}

Tensor softmax(const Tensor& x, int64_t axis) {
  return emit_one(softmax_primitive(), {floating_operand(x)},
                  AxisParams{normalize_axis(axis, x.rank(), "softmax")});
}

Tensor log_softmax(const Tensor& x, int64_t axis) {
  return emit_one(log_softmax_primitive(), {floating_operand(x)},
                  AxisParams{normalize_axis(axis, x.rank(), "log_softmax")});
}

Tensor logsumexp(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  const LogSumExpParams p{reduced_axes("logsumexp", x, axes)};
  const Tensor out = emit_one(logsumexp_primitive(), {floating_operand(x)}, p);
  return keepdims && !p.axes.empty() ? expand_dims(out, p.axes) : out;
}

}  // namespace linnet
