// Private: the product of eight-bit floating numbers.
#pragma once

#include "linnet/float8_dot.h"
#include "linnet/primitive.h"

namespace linnet {

/// For parameters that are read from text.
inline bool from_name(std::string_view name, Float8& format) {
  const std::optional<Float8> found = float8_named(name);
  if (found) format = *found;
  return found.has_value();
}

struct ScaledDotParams {
  Float8 lhs = Float8::kE4M3, rhs = Float8::kE4M3;
  DType result = DType::kF32;
  LINNET_FIELDS(lhs, rhs, result)
};

/// Operands lhs u8[batch…, m, k], rhs u8[batch…, n, k] and their scales f32[] -> [batch…, m, n].
/// It consists of conversions to bf16 and a `dot_general`.
const Primitive& scaled_dot_primitive();

}  // namespace linnet
