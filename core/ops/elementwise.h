// What the public elementwise operations share: promotion, broadcasting and emission. Primitives
// themselves take operands of equal type and shape.
//
//   Tensor add(const Tensor& a, const Tensor& b) { return emit_binary(add_primitive(), a, b); }
#pragma once

#include "linnet/primitive.h"

namespace linnet {

/// `x` in another type; a concrete zero-dimensional tensor is converted on the spot, without a
/// kernel.
Tensor convert(const Tensor& x, WeakDType type);
/// Integers and bools as f32 (just as weak), floating tensors as they are.
Tensor to_floating(const Tensor& x);
/// Whether `x` is a whole number without a type of its own, whose value is known.
bool is_whole_literal(const Tensor& x);
/// Whether such a number is one of those of an integer type.
bool fits_integer(const Tensor& literal, DType dtype);
/// A number of the host on the device of the operand it meets; everything else as it is.
Tensor beside(const Tensor& x, const Tensor& other);
/// NumPy broadcasting to a shape that must be a possible result; an eager result is a view.
Tensor broadcast_trailing(const Tensor& x, const Shape& shape);

/// Emits `primitive` on operands brought to one type and shape.
Tensor emit_binary(const Primitive& primitive, const Tensor& a, const Tensor& b);
/// The same, with integers turned into floating numbers.
Tensor emit_binary_floating(const Primitive& primitive, const Tensor& a, const Tensor& b);
/// Emits `primitive` on one operand, turned into floating numbers.
Tensor emit_floating(const Primitive& primitive, const Tensor& x, ParamsRef params = NoParams{});

}  // namespace linnet
