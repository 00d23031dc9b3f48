#include "core/trace/jvp.h"

#include "core/trace/operand_device.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"

namespace linnet {

Tensor JvpTrace::lift(const Tensor& primal, const Tensor& tangent) {
  if (!tangent.defined()) return primal;
  if (tangent.shape() != primal.shape() || tangent.dtype() != primal.dtype()) {
    fail<ShapeError>("jvp: tangent {} does not fit {}", to_string(tangent.type()),
                     to_string(primal.type()));
  }
  return make_traced(*this, primal.type(), std::make_unique<JvpTracer>(primal, tangent));
}

Tensor JvpTrace::primal(const Tensor& tensor) const {
  return owns(tensor) ? static_cast<JvpTracer&>(tracer_of(tensor)).primal : tensor;
}

Tensor JvpTrace::tangent(const Tensor& tensor) const {
  return owns(tensor) ? static_cast<JvpTracer&>(tracer_of(tensor)).tangent : Tensor();
}

TensorList JvpTrace::process(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  TensorList primals, tangents;
  bool any_mine = false, any_active = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    primals.push_back(primal(inputs[i]));
    tangents.push_back(is_nondifferentiable(primitive, i) ? Tensor() : tangent(inputs[i]));
    any_mine |= owns(inputs[i]);
    any_active |= tangents.back().defined();
  }
  const auto* control = primitive.rule_as<rules::Control>();
  if (any_mine && control && control->rules.jvp)
    return control->rules.jvp(*this, Params(params), inputs);
  if (any_active && (control || primitive.composite())) {
    TraceScope scope(this);
    const OperandDevice here(inputs);
    return primitive.decompose(params, inputs);
  }
  TraceScope scope(parent());
  TensorList outputs = emit(primitive, primals, params);
  if (!any_active || !differentiable(primitive)) return outputs;
  const TensorList out_tangents = apply_jvp(primitive, params, primals, outputs, tangents);
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (is_inexact(outputs[k].dtype())) outputs[k] = lift(outputs[k], out_tangents[k]);
  }
  return outputs;
}

}  // namespace linnet
