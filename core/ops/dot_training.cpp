#include "core/ops/dot_training.h"

#include <algorithm>

#include "core/ops/activation.h"
#include "core/ops/fused.h"
#include "core/ops/reduce.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

const Primitive& gradient_of(ScalarOp activation) {
  const Primitive* const gradient = activation_gradient(activation);
  if (!gradient) fail<ValueError>("{} has no gradient inside of products", name_of(activation));
  return *gradient;
}

TensorList decompose_linear(const LinearActivationParams& p, Inputs x) {
  const Tensor h = emit_one(linear_bias_activation_primitive(), x,
                            LinearBiasActivationParams{p.dot, p.has_bias, false, {}});
  return {apply_activation(h, p.activation), h};
}

TypeList infer_linear(const LinearActivationParams& p, Inputs x) {
  const TensorType h = linear_bias_activation_primitive().infer(
      LinearBiasActivationParams{p.dot, p.has_bias, false, {}}, x)[0];
  return {h, h};
}

TensorList decompose_grad(const DotActivationGradParams& p, Inputs x) {
  const Tensor dy = emit_one(dot_general_primitive(), {x[0], x[1]}, p.dot);
  return {emit_one(gradient_of(p.activation), {x[2], dy})};
}

TypeList infer_grad(const DotActivationGradParams& p, Inputs x) {
  if (x.size() != 3) fail<ValueError>("dot_activation_grad: expected 3 operands, got {}", x.size());
  TypeList out = dot_general_primitive().infer(p.dot, x.first(2));
  out[0].weak = false;
  if (x[2].shape() != out[0].shape || x[2].dtype() != out[0].dtype) {
    fail<ShapeError>("dot_activation_grad: expected an operand of the activation {}, got {}",
                     to_string(out[0]), to_string(x[2].type()));
  }
  return out;
}

AxisList summed_axes(const DotAndSumsParams& p) {
  Axes axes = p.of_lhs ? p.dot.lhs_contract : p.dot.rhs_contract;
  std::sort(axes.begin(), axes.end());
  return axes;
}

TensorList decompose_sums(const DotAndSumsParams& p, Inputs x) {
  return {emit_one(dot_general_primitive(), {x[0], x[1]}, p.dot),
          emit_one(reduce_sum_primitive(), {x[p.of_lhs ? 0 : 1]}, ReduceParams{summed_axes(p)})};
}

TypeList infer_sums(const DotAndSumsParams& p, Inputs x) {
  if (!p.dot.lhs_batch.empty()) fail<ShapeError>("dot_and_sums: there are batch axes");
  TypeList out = dot_general_primitive().infer(p.dot, x);
  out.push_back(reduce_sum_primitive().infer(ReduceParams{summed_axes(p)},
                                             x.subspan(p.of_lhs ? 0 : 1, 1))[0]);
  for (TensorType& type : out) type.weak = false;
  return out;
}

}  // namespace

const Primitive* activation_gradient(ScalarOp activation) {
  return activation == ScalarOp::kGeluTanh ? &gelu_tanh_grad_primitive() : nullptr;
}

const Primitive& linear_activation_and_input_primitive() {
  static const Primitive& p = define(Composite<LinearActivationParams>{
      .name = "linear_activation_and_input", .decompose = decompose_linear, .infer = infer_linear});
  return p;
}

const Primitive& dot_activation_grad_primitive() {
  static const Primitive& p = define(Composite<DotActivationGradParams>{
      .name = "dot_activation_grad", .decompose = decompose_grad, .infer = infer_grad});
  return p;
}

const Primitive& dot_and_sums_primitive() {
  static const Primitive& p = define(Composite<DotAndSumsParams>{
      .name = "dot_and_sums", .decompose = decompose_sums, .infer = infer_sums});
  return p;
}

void define_dot_training() {
  linear_activation_and_input_primitive();
  dot_activation_grad_primitive();
  dot_and_sums_primitive();
}

}  // namespace linnet
