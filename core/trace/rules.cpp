#include "core/trace/rules.h"

#include "core/ops/creation.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operand_device.h"
#include "core/trace/vjp.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

bool differentiable(const Primitive& primitive) { return !primitive.rule_as<rules::Zero>(); }

bool is_nondifferentiable(const Primitive& primitive, size_t operand) {
  return has_bit(primitive.nondifferentiable, operand);
}

void fail_no_rule(const Primitive& primitive, const char* rule) {
  fail<TraceError>("{}: this {} primitive has no {} rule", primitive.name, name_of(primitive.rule),
                   rule);
}

Tensor add_tangents(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  return add(a, b);
}

namespace {

/// Cotangents must have the operand's dtype; promotion inside a rule may have widened them.
/// Of a complex one a real operand gets the real part, as in JAX.
Tensor with_dtype(Tensor ct, const Tensor& like) {
  if (!ct.defined() || ct.dtype() == like.dtype()) return ct;
  return convert(ct, {like.dtype(), false});
}

TensorList partials_vjp(const rules::Partials& rule, ParamsRef params, Inputs x, Outputs y,
                        const Tensor& ct, std::span<const uint8_t> needed) {
  if (rule.vjp) return rule.vjp(params, x, y, ct);
  TensorList partials = rule.partials(params, x, y);
  TensorList out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (needed[i] && partials[i].defined()) out[i] = mul(ct, partials[i]);
  }
  return out;
}

void check_cotangents(const Primitive& primitive, Inputs inputs, const TensorList& cts) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (cts[i].defined() && cts[i].shape() != inputs[i].shape()) {
      fail<TraceError>("{}: the derivative rule returned {} for operand {} of type {}",
                       primitive.name, to_string(cts[i].type()), i, to_string(inputs[i].type()));
    }
  }
}

}  // namespace

TensorList apply_vjp(const Primitive& primitive, ParamsRef params, Inputs inputs, Outputs outputs,
                     Inputs cotangents, std::span<const uint8_t> needed) {
  const OperandDevice here(inputs);
  TensorList out;
  if (const auto* partials = primitive.rule_as<rules::Partials>()) {
    out = partials_vjp(*partials, params, inputs, outputs, cotangents[0], needed);
  } else if (const auto* linear = primitive.rule_as<rules::Transpose>()) {
    out = linear->transpose(params, inputs, cotangents[0]);
  } else if (const auto* bilinear = primitive.rule_as<rules::Bilinear>()) {
    out.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (needed[i])
        out[i] = bilinear->transpose_in(params, static_cast<int>(i), inputs, cotangents[0]);
    }
  } else if (const auto* smooth = primitive.rule_as<rules::Vjp>()) {
    out = smooth->vjp(params, inputs, outputs, cotangents);
  } else if (const auto* whole = primitive.rule_as<rules::Composite>(); whole && whole->vjp) {
    out = whole->vjp(params, inputs, outputs, cotangents);
  } else {
    fail_no_rule(primitive, "reverse-mode derivative");
  }
  out.resize(inputs.size());
  check_cotangents(primitive, inputs, out);
  for (size_t i = 0; i < inputs.size(); ++i)
    out[i] = needed[i] ? with_dtype(out[i], inputs[i]) : Tensor();
  return out;
}

namespace {

TensorList linear_jvp(const Primitive& primitive, ParamsRef params, Inputs inputs,
                      Inputs tangents) {
  TensorList operands(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_nondifferentiable(primitive, i))
      operands[i] = inputs[i];
    else
      operands[i] = tangents[i].defined() ? tangents[i] : zeros_of(inputs[i].type());
  }
  return emit(primitive, operands, params);
}

TensorList bilinear_jvp(const Primitive& primitive, ParamsRef params, Inputs x, Inputs t) {
  Tensor total;
  if (t[0].defined()) total = emit_one(primitive, {t[0], x[1]}, params);
  if (t[1].defined()) total = add_tangents(total, emit_one(primitive, {x[0], t[1]}, params));
  return {total};
}

TensorList partials_jvp(const rules::Partials& rule, ParamsRef params, Inputs x, Outputs y,
                        Inputs t) {
  TensorList partials = rule.partials(params, x, y);
  Tensor total;
  for (size_t i = 0; i < x.size(); ++i) {
    if (t[i].defined() && partials[i].defined())
      total = add_tangents(total, mul(t[i], partials[i]));
  }
  return {with_dtype(total, y[0])};
}

/// jvp of a vjp-only primitive: the vjp is linear in the cotangents, and its transpose is the jvp.
TensorList transposed_vjp(const Primitive& primitive, ParamsRef params, Inputs x, Outputs y,
                          Inputs t) {
  TypeList output_types;
  for (const Tensor& output : y) output_types.push_back(output.type());
  std::vector<uint8_t> needed(x.size());
  TensorList wanted;
  for (size_t i = 0; i < x.size(); ++i) {
    needed[i] = t[i].defined() && !is_nondifferentiable(primitive, i);
    if (needed[i]) wanted.push_back(t[i]);
  }
  std::vector<size_t> floating;
  TypeList ct_types;
  for (size_t k = 0; k < y.size(); ++k) {
    if (!is_inexact(y[k].dtype())) continue;
    floating.push_back(k);
    ct_types.push_back(output_types[k]);
  }
  const TensorList tangents = transpose_linear(
      [&](Inputs cts) {
        TensorList all(y.size());
        for (size_t k = 0; k < floating.size(); ++k) all[floating[k]] = cts[k];
        TensorList grads = apply_vjp(primitive, params, x, y, all, needed);
        TensorList out;
        for (size_t i = 0; i < x.size(); ++i) {
          if (needed[i]) out.push_back(grads[i].defined() ? grads[i] : zeros_of(x[i].type()));
        }
        return out;
      },
      ct_types, wanted);
  TensorList out(y.size());
  for (size_t k = 0; k < floating.size(); ++k) out[floating[k]] = tangents[k];
  return out;
}

}  // namespace

TensorList apply_jvp(const Primitive& primitive, ParamsRef params, Inputs inputs, Outputs outputs,
                     Inputs tangents) {
  const OperandDevice here(inputs);
  if (const auto* partials = primitive.rule_as<rules::Partials>())
    return partials_jvp(*partials, params, inputs, outputs, tangents);
  if (primitive.rule_as<rules::Transpose>()) return linear_jvp(primitive, params, inputs, tangents);
  if (primitive.rule_as<rules::Bilinear>())
    return bilinear_jvp(primitive, params, inputs, tangents);
  const auto* smooth = primitive.rule_as<rules::Vjp>();
  if (!smooth) fail_no_rule(primitive, "forward-mode derivative");
  if (smooth->jvp) return smooth->jvp(params, inputs, outputs, tangents);
  return transposed_vjp(primitive, params, inputs, outputs, tangents);
}

TensorList apply_batch(const Primitive& primitive, ParamsRef params, const BatchedInputs& inputs) {
  if (const auto* custom = std::get_if<maps::Custom>(&primitive.map)) {
    if (!custom->batch) fail_no_rule(primitive, "batching");
    return custom->batch(params, inputs);
  }
  TensorList operands;
  for (size_t i = 0; i < inputs.x.size(); ++i) operands.push_back(batched_operand(inputs, i));
  if (const auto* dims = std::get_if<maps::Dims>(&primitive.map))
    return emit(primitive, operands, dims->with_leading(params, inputs.size));
  if (!primitive.pointwise()) fail_no_rule(primitive, "batching");
  return emit(primitive, operands, params);
}

TensorList transpose_linear(const std::function<TensorList(Inputs)>& f, const TypeList& input_types,
                            Inputs output_cotangents) {
  VjpTrace trace;
  TensorList tracers, outputs;
  for (const TensorType& type : input_types) tracers.push_back(trace.input(zeros_of(type)));
  {
    TraceScope scope(&trace);
    outputs = f(tracers);
  }
  return trace.pullback(outputs, output_cotangents, tracers);
}

}  // namespace linnet
