#include "core/trace/batch.h"

#include "core/ops/creation.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operand_device.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

Tensor BatchTrace::lift(const Tensor& value) {
  TensorType type = value.type();
  type.shape.erase(0);
  return make_traced(*this, type, std::make_unique<BatchTracer>(value));
}

Tensor BatchTrace::value(const Tensor& tensor) const {
  return owns(tensor) ? static_cast<BatchTracer&>(tracer_of(tensor)).value : tensor;
}

Tensor BatchTrace::materialize(const Tensor& tensor) const {
  if (owns(tensor)) return value(tensor);
  return repeated(tensor, size());
}

TensorList BatchTrace::without_entries(const Primitive& primitive, Inputs inputs,
                                       ParamsRef params) {
  const TypeList types = primitive.infer(params, inputs);
  TensorList outputs;
  TraceScope scope(parent());
  for (const TensorType& type : types) {
    const Tensor zero = convert(scalar(0, type.dtype), {type.dtype, type.weak});
    outputs.push_back(lift(filled(zero, with_batch(type.shape, 0), type.device)));
  }
  return outputs;
}

TensorList BatchTrace::over_axis(const Primitive& primitive, const Collective& collective,
                                 Inputs inputs, ParamsRef params) {
  primitive.infer(params, inputs);  // checks them
  AlongAxis operand;
  if (!inputs.empty()) operand = {value(inputs[0]), batched(inputs[0])};
  AlongAxis result;
  {
    TraceScope scope(parent());
    const OperandDevice here(std::span(&operand.value, 1));
    result = collective.over(params, axis_.name, size(), operand);
  }
  return {result.batched ? lift(result.value) : result.value};
}

TensorList BatchTrace::process(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  std::vector<uint8_t> batched;
  TensorList values;
  bool any = false;
  for (const Tensor& input : inputs) {
    batched.push_back(owns(input));
    any |= owns(input);
    values.push_back(value(input));
  }
  if (!axis_.name.empty() && asks_for_axis(primitive, params, axis_.name)) {
    if (const Collective* collective = collective_of(primitive))
      return over_axis(primitive, *collective, inputs, params);
    any = true;
  }
  if (any && size() == 0) return without_entries(primitive, inputs, params);
  const auto* control = primitive.rule_as<rules::Control>();
  if (any && control && control->rules.batch)
    return control->rules.batch(*this, Params(params), inputs);
  if (any && std::holds_alternative<maps::Parts>(primitive.map)) {
    TraceScope scope(this);
    const OperandDevice here(inputs);
    return primitive.decompose(params, inputs);
  }
  TensorList outputs;
  {
    TraceScope scope(parent());
    if (!any) return emit(primitive, inputs, params);
    const OperandDevice here(values);
    outputs = apply_batch(primitive, params, {values, batched, size()});
  }
  for (Tensor& output : outputs) {
    if (output.rank() == 0 || output.shape(0) != size()) {
      fail<TraceError>("{}: the batching rule returned {} without the batch dimension of size {}",
                       primitive.name, to_string(output.type()), size());
    }
    output = lift(output);
  }
  return outputs;
}

}  // namespace linnet
