#include "core/trace/vjp.h"

#include "core/ops/creation.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operand_device.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

int64_t VjpTrace::id_of(const Tensor& tensor) const {
  return owns(tensor) ? static_cast<VjpTracer&>(tracer_of(tensor)).id : -1;
}

Tensor VjpTrace::primal(const Tensor& tensor) const {
  return owns(tensor) ? static_cast<VjpTracer&>(tracer_of(tensor)).primal : tensor;
}

TensorList VjpTrace::primals(Inputs tensors) const {
  TensorList out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(primal(tensor));
  return out;
}

Tensor VjpTrace::input(const Tensor& primal) {
  if (!is_inexact(primal.dtype())) return primal;
  return make_traced(*this, primal.type(), std::make_unique<VjpTracer>(primal, next_id_++));
}

TensorList VjpTrace::wrap_outputs(Node node, const TensorList& outputs) {
  node.first_output = next_id_;
  node.output_count = outputs.size();
  next_id_ += static_cast<int64_t>(outputs.size());
  TensorList out;
  out.reserve(outputs.size());
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (is_inexact(outputs[k].dtype())) {
      out.push_back(make_traced(
          *this, outputs[k].type(),
          std::make_unique<VjpTracer>(outputs[k], node.first_output + static_cast<int64_t>(k))));
    } else {
      out.push_back(outputs[k]);
    }
  }
  nodes_.push_back(std::move(node));
  return out;
}

TensorList VjpTrace::record(Inputs inputs, const TensorList& primal_outputs, Rule rule) {
  Node node;
  for (const Tensor& input : inputs) {
    node.input_ids.push_back(id_of(input));
    node.inputs.push_back(abstract(input.type()));
  }
  node.rule = std::move(rule);
  return wrap_outputs(std::move(node), primal_outputs);
}

TensorList VjpTrace::process(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  bool any_mine = false, any_active = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool mine = owns(inputs[i]);
    any_mine |= mine;
    any_active |= mine && !is_nondifferentiable(primitive, i);
  }
  if (!any_mine) {
    TraceScope scope(parent());
    return emit(primitive, inputs, params);
  }
  const auto* control = primitive.rule_as<rules::Control>();
  if (control && control->rules.vjp) return control->rules.vjp(*this, Params(params), inputs);
  const auto* composite = primitive.rule_as<rules::Composite>();
  if (control || (composite && !composite->vjp)) {
    TraceScope scope(this);
    const OperandDevice here(inputs);
    return primitive.decompose(params, inputs);
  }
  Node node;
  node.inputs = primals(inputs);
  TensorList outputs;
  {
    TraceScope scope(parent());
    outputs = emit(primitive, node.inputs, params);
  }
  if (!any_active || !differentiable(primitive)) return outputs;

  node.primitive = &primitive;
  node.params = Params(params);
  for (size_t i = 0; i < inputs.size(); ++i) {
    node.input_ids.push_back(is_nondifferentiable(primitive, i) ? -1 : id_of(inputs[i]));
    if (!has_bit(primitive.saves_inputs, i)) node.inputs[i] = abstract(inputs[i].type());
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    node.outputs.push_back(has_bit(primitive.saves_outputs, k) ? outputs[k]
                                                               : abstract(outputs[k].type()));
  }
  // A product needs the other factor only if its own operand is being differentiated.
  if (primitive.rule_as<rules::Bilinear>()) {
    if (node.input_ids[0] < 0) node.inputs[1] = abstract(inputs[1].type());
    if (node.input_ids[1] < 0) node.inputs[0] = abstract(inputs[0].type());
  }
  return wrap_outputs(std::move(node), outputs);
}

void VjpTrace::run_node(Node& node, std::vector<Tensor>& cotangents) {
  TensorList cts(node.output_count);
  bool any = false;
  for (size_t k = 0; k < node.output_count; ++k) {
    cts[k] = std::move(cotangents[node.first_output + static_cast<int64_t>(k)]);
    any |= cts[k].defined();
  }
  if (!any) return;
  TensorList grads;
  if (node.rule) {
    const OperandDevice here(cts);
    grads = node.rule(cts);
    grads.resize(node.input_ids.size());
  } else {
    std::vector<uint8_t> needed(node.input_ids.size());
    for (size_t i = 0; i < needed.size(); ++i) needed[i] = node.input_ids[i] >= 0;
    grads = apply_vjp(*node.primitive, node.params, node.inputs, node.outputs, cts, needed);
  }
  for (size_t i = 0; i < grads.size(); ++i) {
    if (node.input_ids[i] < 0 || !grads[i].defined()) continue;
    Tensor& slot = cotangents[node.input_ids[i]];
    slot = add_tangents(slot, grads[i]);
  }
}

TensorList VjpTrace::pullback(Inputs outputs, Inputs cotangents, Inputs inputs, bool consume) {
  std::vector<Tensor> slots(static_cast<size_t>(next_id_));
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!cotangents[k].defined()) continue;
    if (cotangents[k].shape() != outputs[k].shape()) {
      fail<ShapeError>("vjp: cotangent {} does not fit output {}", to_string(cotangents[k].type()),
                       to_string(outputs[k].type()));
    }
    if (cotangents[k].dtype() != outputs[k].dtype()) {
      fail<DTypeError>("vjp: cotangent {} does not have the dtype of output {}",
                       to_string(cotangents[k].type()), to_string(outputs[k].type()));
    }
    const int64_t id = id_of(outputs[k]);
    if (id >= 0) slots[id] = add_tangents(slots[id], cotangents[k]);
  }
  for (size_t n = nodes_.size(); n-- > 0;) {
    run_node(nodes_[n], slots);
    if (consume) nodes_[n] = Node{};
  }
  TensorList out;
  for (const Tensor& input : inputs) {
    const int64_t id = id_of(input);
    if (id < 0)
      out.push_back(Tensor());
    else
      out.push_back(slots[id].defined() ? slots[id] : zeros_of(input.type()));
  }
  return out;
}

}  // namespace linnet
