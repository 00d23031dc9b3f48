// Derivative rules as the traces apply them: the declared rule of a primitive's kind, turned into
// cotangents or tangents.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

/// Cotangents of the operands. `needed[i]` tells which are wanted; others may be left undefined.
/// `inputs` and `outputs` are full values where the primitive saves them, else types only.
TensorList apply_vjp(const Primitive& primitive, ParamsRef params, Inputs inputs, Outputs outputs,
                     Inputs cotangents, std::span<const uint8_t> needed);

/// Tangents of the results; undefined input tangents mean zero, and undefined results mean zero.
TensorList apply_jvp(const Primitive& primitive, ParamsRef params, Inputs inputs, Outputs outputs,
                     Inputs tangents);

/// Results of a batch of applications, all with the batch dimension in front: the declared index
/// map turned into a batching rule. @throws TraceError if the primitive has none.
TensorList apply_batch(const Primitive& primitive, ParamsRef params, const BatchedInputs& inputs);

/// Whether a mask of a primitive names an operand or result; its last bit speaks for all further
/// ones, of which variadic primitives may have any number.
constexpr bool has_bit(uint32_t mask, size_t index) {
  return mask >> (index < 31 ? index : 31) & 1u;
}

/// True if the results may carry derivative information.
bool differentiable(const Primitive& primitive);
bool is_nondifferentiable(const Primitive& primitive, size_t operand);

/// a + b where undefined means zero.
Tensor add_tangents(const Tensor& a, const Tensor& b);

/// @throws TraceError naming the primitive and what is missing.
[[noreturn]] void fail_no_rule(const Primitive& primitive, const char* rule);

/// Applies the transpose of a linear function to cotangents: f maps tensors like `primals` (which
/// may be any point, f being linear) to outputs.
TensorList transpose_linear(const std::function<TensorList(Inputs)>& f, const TypeList& input_types,
                            Inputs output_cotangents);

}  // namespace linnet
