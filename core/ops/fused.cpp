#include "core/ops/fused.h"

#include "core/ops/activation.h"
#include "core/ops/scalar_primitives.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

template <class P>
void check_count(const char* name, const P& p, Inputs x) {
  const size_t expected = 2 + p.has_bias + p.has_residual;
  if (x.size() != expected)
    fail<ValueError>("{}: expected {} operands, got {}", name, expected, x.size());
}

/// Adds a bias over the trailing axes.
Tensor add_bias(const Tensor& y, const Tensor& bias) {
  Axes axes;
  for (size_t i = y.rank() - bias.rank(); i < y.rank(); ++i)
    axes.push_back(static_cast<int64_t>(i));
  return add(y, broadcast_in_dim(bias, y.shape(), axes));
}

template <class P>
Tensor finish(const P& p, Inputs x, Tensor y) {
  if (p.has_bias) y = add_bias(y, x[2]);
  y = apply_activation(y, p.activation);
  if (p.has_residual) y = add(y, x[2 + p.has_bias]);
  return y;
}

TensorList decompose_linear(const LinearBiasActivationParams& p, Inputs x) {
  return {finish(p, x, emit_one(dot_general_primitive(), {x[0], x[1]}, p.dot))};
}

void check_epilogue(const char* name, bool has_bias, bool has_residual, Inputs x,
                    const TensorType& y, const Shape& bias_shape) {
  const auto check = [&](const Tensor& operand, const Shape& shape, const char* what) {
    if (operand.shape() == shape && operand.dtype() == y.dtype) return;
    fail<ShapeError>("{}: expected a {} {}, got {}", name, what, type_string(y.dtype, shape),
                     to_string(operand.type()));
  };
  if (has_bias) check(x[2], bias_shape, "bias");
  if (has_residual) check(x[2 + has_bias], y.shape, "residual");
}

TypeList infer_linear(const LinearBiasActivationParams& p, Inputs x) {
  check_count("linear_bias_activation", p, x);
  TypeList out = dot_general_primitive().infer(p.dot, x.first(2));
  const size_t w_free = x[1].rank() - p.dot.rhs_contract.size() - p.dot.rhs_batch.size();
  const Shape bias_shape(out[0].shape.end() - w_free, out[0].shape.end());
  check_epilogue("linear_bias_activation", p.has_bias, p.has_residual, x, out[0], bias_shape);
  out[0].weak = false;
  return out;
}

TensorList decompose_panels(const PanelLinearParams& p, Inputs x) {
  const Shape& shape = x[1].shape();
  const Tensor wide = reshape(transpose(x[1], {1, 0, 2}), {shape[1], shape[0] * shape[2]});
  return {finish(p, x, matmul(x[0], slice_axis(wide, 0, p.columns, 1)))};
}

TypeList infer_panels(const PanelLinearParams& p, Inputs x) {
  check_count("panel_linear", p, x);
  const Shape& w = x[1].shape();
  const bool fits = x[0].rank() == 2 && w.size() == 3 && x[0].shape(1) == w[1] &&
                    x[0].dtype() == x[1].dtype() && p.columns <= w[0] * w[2] &&
                    p.columns > (w[0] - 1) * w[2];
  if (!fits) {
    fail<ShapeError>(
        "panel_linear: expected [m, k] and panels [count, k, width] of {} columns, got {}, {}",
        p.columns, to_string(x[0].type()), to_string(x[1].type()));
  }
  TensorType out = x[0].type();
  out.shape[1] = p.columns;
  out.weak = false;
  check_epilogue("panel_linear", p.has_bias, p.has_residual, x, out, {p.columns});
  return {out};
}

TensorList decompose_conv(const ConvBiasActivationParams& p, Inputs x) {
  return {finish(p, x, emit_one(conv_primitive(), {x[0], x[1]}, p.conv))};
}

TypeList infer_conv(const ConvBiasActivationParams& p, Inputs x) {
  check_count("conv_bias_activation", p, x);
  TypeList out = conv_primitive().infer(p.conv, x.first(2));
  check_epilogue("conv_bias_activation", p.has_bias, p.has_residual, x, out[0],
                 Shape{out[0].shape.back()});
  out[0].weak = false;
  return out;
}

}  // namespace

std::span<const EpilogueActivation> epilogue_activations() {
  static constexpr EpilogueActivation kActivations[] = {
      {ScalarOp::kRelu, relu_primitive},
      {ScalarOp::kRelu6, relu6_primitive},
      {ScalarOp::kGeluTanh, gelu_tanh_primitive},
      {ScalarOp::kGeluErf, gelu_erf_primitive},
      {ScalarOp::kSilu, silu_primitive},
      {ScalarOp::kTanh, tanh_primitive},
      {ScalarOp::kLogistic, logistic_primitive},
      {ScalarOp::kSoftplus, softplus_primitive},
      {ScalarOp::kLogSigmoid, log_sigmoid_primitive},
  };
  return kActivations;
}

Tensor apply_activation(const Tensor& x, Activation activation) {
  if (!activation) return x;
  for (const EpilogueActivation& entry : epilogue_activations()) {
    if (entry.op == *activation) return emit_one(entry.primitive(), {x});
  }
  fail<ValueError>("{} cannot follow a product inside its kernel", name_of(*activation));
}

const Primitive& linear_bias_activation_primitive() {
  static const Primitive& p = define(Composite<LinearBiasActivationParams>{
      .name = "linear_bias_activation", .decompose = decompose_linear, .infer = infer_linear});
  return p;
}

const Primitive& panel_linear_primitive() {
  static const Primitive& p = define(Composite<PanelLinearParams>{
      .name = "panel_linear", .decompose = decompose_panels, .infer = infer_panels});
  return p;
}

const Primitive& conv_bias_activation_primitive() {
  static const Primitive& p = define(Composite<ConvBiasActivationParams>{
      .name = "conv_bias_activation", .decompose = decompose_conv, .infer = infer_conv});
  return p;
}

}  // namespace linnet
