// Batch normalisation: statistics over all axes but the last.
#include "core/ops/nn.h"
#include "core/ops/shape_ops.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

Shape channels_of(const Tensor& x) { return Shape{x.shape().back()}; }

Axes reduced_axes(const Tensor& x) {
  Axes axes;
  for (int64_t i = 0; i + 1 < static_cast<int64_t>(x.rank()); ++i) axes.push_back(i);
  return axes;
}

/// Elements that each statistic is taken over.
double count_of(const Tensor& x) {
  return static_cast<double>(element_count(x.shape()) / std::max<int64_t>(x.shape().back(), 1));
}

void check_operands(const char* name, Inputs x, size_t count) {
  if (x.size() != count)
    fail<ValueError>("{}: expected {} operands, got {}", name, count, x.size());
  if (!is_floating(x[0].dtype())) {
    fail<DTypeError>("{}: expected a floating dtype, got {}", name, to_string(x[0].type()));
  }
  if (x[0].rank() == 0)
    fail<ShapeError>("{}: expected x [..., channels], got {}", name, to_string(x[0].type()));
  for (const Tensor& parameter : x.subspan(1)) {
    if (parameter.shape() == channels_of(x[0]) || parameter.shape() == x[0].shape()) continue;
    fail<ShapeError>("{}: expected statistics and parameters of shape {} for x {}, got {}", name,
                     to_string(channels_of(x[0])), to_string(x[0].type()),
                     to_string(parameter.type()));
  }
}

TensorType same_type(const Tensor& x) { return {x.dtype(), x.shape(), false, x.device()}; }
TensorType wide_channels(const Tensor& x) {
  return {wide_dtype(x.dtype()), channels_of(x), false, x.device()};
}

TypeList infer_train(const BatchNormParams& p, Inputs x) {
  check_operands("batch_norm_train", x, 1 + p.has_scale + p.has_bias);
  return {same_type(x[0]), wide_channels(x[0]), wide_channels(x[0])};
}

TypeList infer_backward(const BatchNormParams& p, Inputs x) {
  check_operands("batch_norm_backward", x, 4 + p.has_scale);
  TypeList out{same_type(x[0])};
  if (p.has_scale) out.push_back(wide_channels(x[0]));
  if (p.has_bias) out.push_back(wide_channels(x[0]));
  return out;
}

TypeList infer_inference(const BatchNormParams& p, Inputs x) {
  check_operands("batch_norm_inference", x, 3 + p.has_scale + p.has_bias);
  return {same_type(x[0])};
}

/// (x - mean) * (rsqrt(var + epsilon) * scale) + bias, with the parameters from operand `first` on.
Tensor normalise(const BatchNormParams& p, Inputs x, size_t first, const Tensor& value,
                 const Tensor& mean, const Tensor& variance) {
  Tensor factor = rsqrt(add(variance, p.epsilon));
  if (p.has_scale) factor = mul(factor, converted(x[first], factor.dtype()));
  Tensor y = mul(sub(value, mean), factor);
  if (p.has_bias) y = add(y, converted(x[first + p.has_scale], y.dtype()));
  return converted(y, x[0].dtype());
}

TensorList decompose_train(const BatchNormParams& p, Inputs x) {
  const Tensor value = widened(x[0]);
  const Axes axes = reduced_axes(value);
  const Tensor average = mean(value, axes);
  const Tensor variance = maximum(sub(mean(square(value), axes), square(average)), 0);
  return {normalise(p, x, 1, value, average, variance), average, variance};
}

TensorList decompose_inference(const BatchNormParams& p, Inputs x) {
  const DType wide = wide_dtype(x[0].dtype());
  return {normalise(p, x, 3, widened(x[0]), converted(x[1], wide), converted(x[2], wide))};
}

TensorList decompose_backward(const BatchNormParams& p, Inputs x) {
  const Tensor value = widened(x[0]), dy = widened(x[3]);
  const Axes axes = reduced_axes(value);
  const Tensor rstd = rsqrt(add(x[2], p.epsilon));
  const Tensor normal = mul(sub(value, x[1]), rstd);
  const Tensor dbias = sum(dy, axes);
  const Tensor dscale = sum(mul(dy, normal), axes);
  const double share = 1 / count_of(value);
  const Tensor factor = p.has_scale ? mul(rstd, converted(x[4], rstd.dtype())) : rstd;
  const Tensor centred = sub(sub(dy, mul(dbias, share)), mul(normal, mul(dscale, share)));
  TensorList out{converted(mul(factor, centred), x[0].dtype())};
  if (p.has_scale) out.push_back(dscale);
  if (p.has_bias) out.push_back(dbias);
  return out;
}

void add_converted(Tensor& into, const Tensor& term, DType dtype) {
  const Tensor value = converted(term, dtype);
  into = into.defined() ? add(into, value) : value;
}

TensorList vjp_train(const BatchNormParams& p, Inputs x, Outputs y, Inputs cts) {
  TensorList out(x.size());
  if (cts[0].defined()) {
    TensorList operands{x[0], y[1], y[2], cts[0]};
    if (p.has_scale) operands.push_back(x[1]);
    const TensorList gradients = emit(batch_norm_backward_primitive(), operands, p);
    for (size_t i = 0; i < x.size(); ++i) out[i] = converted(gradients[i], x[i].dtype());
  }
  const double share = 1 / count_of(x[0]);
  if (cts[1].defined())
    add_converted(out[0], broadcast_to(mul(cts[1], share), x[0].shape()), x[0].dtype());
  if (cts[2].defined()) {
    add_converted(out[0], mul(sub(widened(x[0]), y[1]), mul(cts[2], 2 * share)), x[0].dtype());
  }
  return out;
}

/// A batch of normalisations is one normalisation of as many times the channels: [B, ..., C] ->
/// [..., B C].
Tensor into_channels(const BatchedInputs& in, size_t i) {
  const Tensor x = batched_operand(in, i);
  Shape merged(x.shape().begin() + 1, x.shape().end());
  merged.back() *= in.size;
  return reshape(moveaxis(x, 0, -2), merged);
}

Tensor out_of_channels(const Tensor& x, int64_t size) {
  Shape split = x.shape();
  split.back() /= size;
  split.insert(split.size() - 1, size);
  return moveaxis(reshape(x, split), -2, 0);
}

/// Channels, the last dimension of everything, are taken alone.
template <TypeList (*kInfer)(const BatchNormParams&, Inputs)>
DimMap channel_dims(const BatchNormParams& p, Inputs x) {
  DimMap map;
  const int64_t channels = map.add(x[0].shape(-1));
  const auto factors_of = [&](const Shape& shape) {
    TensorFactors factors;
    for (size_t i = 0; i + 1 < shape.size(); ++i)
      factors.push_back({map.add(shape[i], FactorKind::kWhole)});
    factors.push_back({channels});
    return factors;
  };
  for (const Tensor& operand : x) map.operands.push_back(factors_of(operand.shape()));
  for (const TensorType& result : kInfer(p, x)) map.results.push_back(factors_of(result.shape));
  return map;
}

template <const Primitive& (*primitive)()>
TensorList batch_channels(const BatchNormParams& p, const BatchedInputs& in) {
  TensorList x;
  for (size_t i = 0; i < in.x.size(); ++i) x.push_back(into_channels(in, i));
  TensorList out = emit(primitive(), x, p);
  for (Tensor& y : out) y = out_of_channels(y, in.size);
  return out;
}

}  // namespace

const Primitive& batch_norm_train_primitive() {
  static const Primitive& p =
      define(Composite<BatchNormParams>{.name = "batch_norm_train",
                                        .decompose = decompose_train,
                                        .infer = infer_train,
                                        .vjp = vjp_train,
                                        .dims = channel_dims<infer_train>,
                                        .batch = batch_channels<batch_norm_train_primitive>,
                                        .saves_inputs = bits_of({0, 1}),
                                        .saves_outputs = bits_of({1, 2})});
  return p;
}

const Primitive& batch_norm_backward_primitive() {
  static const Primitive& p =
      define(Composite<BatchNormParams>{.name = "batch_norm_backward",
                                        .decompose = decompose_backward,
                                        .infer = infer_backward,
                                        .dims = channel_dims<infer_backward>,
                                        .batch = batch_channels<batch_norm_backward_primitive>});
  return p;
}

const Primitive& batch_norm_inference_primitive() {
  static const Primitive& p =
      define(Composite<BatchNormParams>{.name = "batch_norm_inference",
                                        .decompose = decompose_inference,
                                        .infer = infer_inference,
                                        .dims = channel_dims<infer_inference>,
                                        .batch = batch_channels<batch_norm_inference_primitive>});
  return p;
}

namespace {

void append_parameters(TensorList& operands, const Tensor& scale, const Tensor& bias) {
  if (scale.defined()) operands.push_back(floating_operand(scale));
  if (bias.defined()) operands.push_back(floating_operand(bias));
}

}  // namespace

BatchNormResult batch_norm_train(const Tensor& x, const Tensor& scale, const Tensor& bias,
                                 double epsilon) {
  TensorList operands{floating_operand(x)};
  append_parameters(operands, scale, bias);
  const BatchNormParams p{epsilon, scale.defined(), bias.defined()};
  TensorList out = emit(batch_norm_train_primitive(), operands, p);
  return {std::move(out[0]), std::move(out[1]), std::move(out[2])};
}

Tensor batch_norm_inference(const Tensor& x, const Tensor& mean, const Tensor& variance,
                            const Tensor& scale, const Tensor& bias, double epsilon) {
  TensorList operands{floating_operand(x), floating_operand(mean), floating_operand(variance)};
  append_parameters(operands, scale, bias);
  const BatchNormParams p{epsilon, scale.defined(), bias.defined()};
  return emit_one(batch_norm_inference_primitive(), operands, p);
}

}  // namespace linnet
