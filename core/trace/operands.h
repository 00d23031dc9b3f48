// Private: operands and results of control primitives, seen by each trace, and what is undefined
// made whole.
#pragma once

#include "core/trace/batch.h"
#include "core/trace/jvp.h"
#include "core/trace/vjp.h"

namespace linnet {

TypeList types_of(Inputs tensors);

/// Zeros for whatever is undefined: an undefined tangent or cotangent means zero.
Tensor defined_or_zeros(const Tensor& tensor, const TensorType& type);
/// Cotangents of the floating results, in order.
TensorList floating_cotangents(Inputs cotangents, const TypeList& types);

/// Values behind the operands of a batched call and which of them have the batch dimension.
struct BatchedOperands {
  BatchedOperands(const BatchTrace& trace, Inputs inputs);
  TensorList values;
  std::vector<uint8_t> batched;
};
/// Results of a batched call as its trace sees them: those marked are batched.
TensorList lift_results(BatchTrace& trace, TensorList results, const std::vector<uint8_t>& batched);

/// Primals, and the tangents of those operands that have one.
struct ForwardOperands {
  ForwardOperands(const JvpTrace& trace, Inputs inputs);
  TensorList primals;
  TensorList tangents;
  std::vector<uint8_t> active;
  /// Primals followed by tangents.
  TensorList joined() const;
};
/// Results with the tangents of those that are marked, as the trace sees them.
TensorList lift_results(JvpTrace& trace, TensorList results, Inputs tangents,
                        const std::vector<uint8_t>& marked);
/// Results of a call followed by tangents of the floating ones, as the trace sees them.
TensorList lift_results(JvpTrace& trace, TensorList results, size_t count);

/// Which operands the trace differentiates.
std::vector<uint8_t> active_operands(const VjpTrace& trace, Inputs inputs);
/// Values for the marked places, undefined tensors elsewhere.
TensorList spread(const TensorList& values, const std::vector<uint8_t>& places);

/// `f32[2,3], i32[3]`.
std::string types_text(std::span<const Tensor> tensors);

}  // namespace linnet
