// Layer and RMS normalisation: statistics over the trailing axes of each row.
#include "core/ops/dims.h"
#include "core/ops/nn.h"
#include "core/ops/shape_ops.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

Shape leading(const NormParams& p, const Tensor& x) {
  return Shape(x.shape().begin(), x.shape().end() - p.axes);
}
Shape trailing(const NormParams& p, const Tensor& x) {
  return Shape(x.shape().end() - p.axes, x.shape().end());
}

Axes axes_between(int64_t begin, int64_t end) {
  Axes out;
  for (int64_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}
Axes row_axes(const NormParams& p, const Tensor& x) {
  const int64_t rank = static_cast<int64_t>(x.rank());
  return axes_between(rank - p.axes, rank);
}
Axes leading_axes(const NormParams& p, const Tensor& x) {
  return axes_between(0, static_cast<int64_t>(x.rank()) - p.axes);
}

/// Per-row values with the reduced axes back as ones.
Tensor per_row(const NormParams& p, const Tensor& x, const Tensor& row) {
  return expand_dims(row, row_axes(p, x));
}

void check_norm(const char* name, const NormParams& p, Inputs x) {
  if (!is_floating(x[0].dtype())) {
    fail<DTypeError>("{}: expected a floating dtype, got {}", name, to_string(x[0].type()));
  }
  if (p.axes < 1 || p.axes > static_cast<int64_t>(x[0].rank())) {
    fail<ShapeError>("{}: expected at least {} dimensions, got {}", name,
                     std::max<int64_t>(p.axes, 1), to_string(x[0].type()));
  }
  for (size_t i = 1; i < x.size(); ++i) {
    if (x[i].shape() == trailing(p, x[0])) continue;
    fail<ShapeError>("{}: expected {} of shape {} for x {}, got {}", name,
                     p.has_scale && i == 1 ? "a scale" : "a bias", to_string(trailing(p, x[0])),
                     to_string(x[0].type()), to_string(x[i].type()));
  }
}

TensorType like(const Tensor& x) { return {x.dtype(), x.shape(), false, x.device()}; }
TensorType wide_of(const Tensor& x, const Shape& shape) {
  return {wide_dtype(x.dtype()), shape, false, x.device()};
}

TypeList infer_layer_norm(const NormParams& p, Inputs x) {
  check_norm("layer_norm", p, x);
  const TensorType row = wide_of(x[0], leading(p, x[0]));
  return {like(x[0]), row, row};
}

TypeList infer_rms_norm(const NormParams& p, Inputs x) {
  check_norm("rms_norm", p, x);
  return {like(x[0]), wide_of(x[0], leading(p, x[0]))};
}

/// Types of dx, [dscale], [dbias]. Operands: x, `statistics` values per row, dy, [scale].
TypeList infer_backward(const char* name, size_t statistics, const NormParams& p, Inputs x) {
  bool fits = x.size() == statistics + 2 + p.has_scale && x[statistics + 1].shape() == x[0].shape();
  for (size_t i = 1; fits && i <= statistics; ++i) fits = x[i].shape() == leading(p, x[0]);
  if (fits && p.has_scale) fits = x.back().shape() == trailing(p, x[0]);
  if (!fits) {
    std::string got;
    for (const Tensor& t : x) got += (got.empty() ? "" : ", ") + to_string(t.type());
    fail<ShapeError>(
        "{}: expected {} statistics per row of x, a cotangent like x and a scale of its rows, got "
        "{}",
        name, statistics, got);
  }
  TypeList out{like(x[0])};
  if (p.has_scale) out.push_back(wide_of(x[0], trailing(p, x[0])));
  if (p.has_bias) out.push_back(wide_of(x[0], trailing(p, x[0])));
  return out;
}

Tensor scaled(const NormParams& p, Inputs x, Tensor normal) {
  if (p.has_scale) normal = mul(normal, converted(x[1], normal.dtype()));
  if (p.has_bias) normal = add(normal, converted(x[1 + p.has_scale], normal.dtype()));
  return converted(normal, x[0].dtype());
}

TensorList decompose_layer_norm(const NormParams& p, Inputs x) {
  const Tensor value = widened(x[0]);
  const Axes axes = row_axes(p, value);
  const Tensor average = mean(value, axes, true);
  const Tensor centred = sub(value, average);
  const Tensor rstd = rsqrt(add(mean(square(centred), axes, true), p.epsilon));
  return {scaled(p, x, mul(centred, rstd)), squeeze(average, axes), squeeze(rstd, axes)};
}

/// The gradients of scale and bias and g = dy * scale.
struct ScaleGradients {
  Tensor g;
  TensorList parameters;
};
ScaleGradients scale_gradients(const NormParams& p, const Tensor& normal, const Tensor& dy,
                               const Tensor& scale) {
  const Axes rows = leading_axes(p, normal);
  ScaleGradients out{dy, {}};
  if (p.has_scale) {
    out.g = mul(dy, converted(scale, dy.dtype()));
    out.parameters.push_back(sum(mul(dy, normal), rows));
  }
  if (p.has_bias) out.parameters.push_back(sum(dy, rows));
  return out;
}

TensorList with_dx(const Tensor& dx, DType dtype, const TensorList& parameters) {
  TensorList out{converted(dx, dtype)};
  out.insert(out.end(), parameters.begin(), parameters.end());
  return out;
}

TensorList decompose_layer_norm_backward(const NormParams& p, Inputs x) {
  const Tensor value = widened(x[0]), dy = widened(x[3]);
  const Tensor rstd = per_row(p, value, x[2]);
  const Tensor normal = mul(sub(value, per_row(p, value, x[1])), rstd);
  const ScaleGradients s = scale_gradients(p, normal, dy, p.has_scale ? x[4] : Tensor());
  const Axes axes = row_axes(p, value);
  const Tensor rest = add(mean(s.g, axes, true), mul(normal, mean(mul(s.g, normal), axes, true)));
  return with_dx(mul(rstd, sub(s.g, rest)), x[0].dtype(), s.parameters);
}

/// Cotangents in operand order from the results of a backward composite, in the operands' dtypes.
TensorList for_operands(Inputs x, const TensorList& gradients) {
  TensorList out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = converted(gradients[i], x[i].dtype());
  return out;
}

void accumulate(Tensor& into, const Tensor& term, DType dtype) {
  const Tensor value = converted(term, dtype);
  into = into.defined() ? add(into, value) : value;
}

TensorList vjp_layer_norm(const NormParams& p, Inputs x, Outputs y, Inputs cts) {
  TensorList out(x.size());
  if (cts[0].defined()) {
    TensorList operands{x[0], y[1], y[2], cts[0]};
    if (p.has_scale) operands.push_back(x[1]);
    out = for_operands(x, emit(layer_norm_backward_primitive(), operands, p));
  }
  const double share = 1.0 / static_cast<double>(element_count(trailing(p, x[0])));
  if (cts[1].defined()) {
    accumulate(out[0], broadcast_to(mul(per_row(p, x[0], cts[1]), share), x[0].shape()),
               x[0].dtype());
  }
  if (cts[2].defined()) {
    const Tensor centred = sub(widened(x[0]), per_row(p, x[0], y[1]));
    const Tensor slope = mul(cts[2], mul(integer_pow(y[2], 3), -share));
    accumulate(out[0], mul(per_row(p, x[0], slope), centred), x[0].dtype());
  }
  return out;
}

TensorList decompose_rms_norm(const NormParams& p, Inputs x) {
  const Tensor value = widened(x[0]);
  const Axes axes = row_axes(p, value);
  const Tensor rstd = rsqrt(add(mean(square(value), axes, true), p.epsilon));
  return {scaled(p, x, mul(value, rstd)), squeeze(rstd, axes)};
}

TensorList decompose_rms_norm_backward(const NormParams& p, Inputs x) {
  const Tensor value = widened(x[0]), dy = widened(x[2]);
  const Tensor rstd = per_row(p, value, x[1]);
  const Tensor normal = mul(value, rstd);
  const ScaleGradients s = scale_gradients(p, normal, dy, p.has_scale ? x[3] : Tensor());
  const Tensor rest = mul(normal, mean(mul(s.g, normal), row_axes(p, value), true));
  return with_dx(mul(rstd, sub(s.g, rest)), x[0].dtype(), s.parameters);
}

TensorList vjp_rms_norm(const NormParams& p, Inputs x, Outputs y, Inputs cts) {
  TensorList out(x.size());
  if (cts[0].defined()) {
    TensorList operands{x[0], y[1], cts[0]};
    if (p.has_scale) operands.push_back(x[1]);
    out = for_operands(x, emit(rms_norm_backward_primitive(), operands, p));
  }
  if (cts[1].defined()) {
    const double share = 1.0 / static_cast<double>(element_count(trailing(p, x[0])));
    const Tensor slope = mul(cts[1], mul(integer_pow(y[1], 3), -share));
    accumulate(out[0], mul(per_row(p, x[0], slope), widened(x[0])), x[0].dtype());
  }
  return out;
}

/// Rows are taken alone; scale and bias are those of all of them.
DimMap row_dims(const NormParams& p, Inputs x, const TypeList& results) {
  DimMap map = dims::leading(x.first(1), results, x[0].rank() - static_cast<size_t>(p.axes));
  for (const Tensor& parameter : x.subspan(1)) {
    TensorFactors factors;
    for (int64_t size : parameter.shape()) factors.push_back({map.add(size, FactorKind::kWhole)});
    map.operands.push_back(std::move(factors));
  }
  return map;
}
DimMap layer_norm_dims(const NormParams& p, Inputs x) {
  return row_dims(p, x, infer_layer_norm(p, x));
}
DimMap rms_norm_dims(const NormParams& p, Inputs x) { return row_dims(p, x, infer_rms_norm(p, x)); }

/// Rows may be batched freely; parameters of their own per element of the batch are applied
/// afterwards.
template <const Primitive& (*primitive)()>
TensorList batch_norm_rows(const NormParams& p, const BatchedInputs& in) {
  const bool parameters =
      std::any_of(in.batched.begin() + 1, in.batched.end(), [](uint8_t b) { return b != 0; });
  if (in.batched[0] && !parameters) return emit(primitive(), in.x, p);
  const Tensor x = batched_operand(in, 0);
  NormParams plain = p;
  plain.has_scale = plain.has_bias = false;
  // Normalised in the wide dtype, so that scale and bias see unrounded values as in the composite.
  TensorList out = emit(primitive(), {widened(x)}, plain);
  for (size_t i = 1; i < in.x.size(); ++i) {
    Tensor parameter = converted(in.x[i], out[0].dtype());
    if (in.batched[i]) {
      Axes axes = axes_between(1, 1 + static_cast<int64_t>(x.rank()) - 1 - p.axes);
      if (!axes.empty()) parameter = expand_dims(parameter, axes);
    }
    out[0] = p.has_scale && i == 1 ? mul(out[0], parameter) : add(out[0], parameter);
  }
  out[0] = converted(out[0], x.dtype());
  return out;
}

}  // namespace

const Primitive& layer_norm_primitive() {
  static const Primitive& p =
      define(Composite<NormParams>{.name = "layer_norm",
                                   .decompose = decompose_layer_norm,
                                   .infer = infer_layer_norm,
                                   .vjp = vjp_layer_norm,
                                   .dims = layer_norm_dims,
                                   .batch = batch_norm_rows<layer_norm_primitive>,
                                   .saves_inputs = bits_of({0, 1}),
                                   .saves_outputs = bits_of({1, 2})});
  return p;
}

const Primitive& layer_norm_backward_primitive() {
  static const Primitive& p =
      define(Composite<NormParams>{.name = "layer_norm_backward",
                                   .decompose = decompose_layer_norm_backward,
                                   .infer = [](const NormParams& q, Inputs x) {
                                     return infer_backward("layer_norm_backward", 2, q, x);
                                   }});
  return p;
}

const Primitive& rms_norm_primitive() {
  static const Primitive& p =
      define(Composite<NormParams>{.name = "rms_norm",
                                   .decompose = decompose_rms_norm,
                                   .infer = infer_rms_norm,
                                   .vjp = vjp_rms_norm,
                                   .dims = rms_norm_dims,
                                   .batch = batch_norm_rows<rms_norm_primitive>,
                                   .saves_inputs = bits_of({0, 1}),
                                   .saves_outputs = bits_of({1})});
  return p;
}

const Primitive& rms_norm_backward_primitive() {
  static const Primitive& p =
      define(Composite<NormParams>{.name = "rms_norm_backward",
                                   .decompose = decompose_rms_norm_backward,
                                   .infer = [](const NormParams& q, Inputs x) {
                                     return infer_backward("rms_norm_backward", 1, q, x);
                                   }});
  return p;
}

namespace {

TensorList norm_operands(const Tensor& x, const Tensor& scale, const Tensor& bias) {
  TensorList operands{floating_operand(x)};
  if (scale.defined()) operands.push_back(floating_operand(scale));
  if (bias.defined()) operands.push_back(floating_operand(bias));
  return operands;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& bias, double epsilon,
                  int64_t axes) {
  const NormParams p{epsilon, axes, scale.defined(), bias.defined()};
  return emit_one(layer_norm_primitive(), norm_operands(x, scale, bias), p);
}

Tensor rms_norm(const Tensor& x, const Tensor& scale, double epsilon, int64_t axes) {
  const NormParams p{epsilon, axes, scale.defined(), false};
  return emit_one(rms_norm_primitive(), norm_operands(x, scale, {}), p);
}

}  // namespace linnet
