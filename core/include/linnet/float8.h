// Eight-bit floating numbers for storage: e4m3 (in JAX float8_e4m3fn: 3 bits of mantissa, no
// infinities, up to 448) and e5m2 (2 bits, up to 57344, infinities), as their bits in u8.
//
//   Tensor bits = to_float8(weights, Float8::kE4M3);              // u8, a quarter of the memory
//   Tensor back = from_float8(bits, Float8::kE4M3, DType::kBF16);
//
// Products of them are in linnet/float8_dot.h; for everything else they are converted. Files have
// them under their names (`SafetensorsFile::bits`, `load_tree` with `.convert`). linnet.h does not
// include this header.
#pragma once

#include <optional>
#include <string_view>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

enum class Float8 : uint8_t { kE4M3, kE5M2 };
/// `F8_E4M3`, as safetensors call it; and back, if it is one of these.
std::string_view name_of(Float8 format);
std::optional<Float8> float8_named(std::string_view name);

/// What becomes of numbers that are too large.
enum class Float8Overflow : uint8_t {
  kCast,     ///< as a cast in JAX: NaN in e4m3, infinity in e5m2
  kSaturate  ///< the largest number of their sign, infinities too
};
/// The bits of the nearest numbers, ties to even, subnormal ones included. NaN stays NaN. Integers
/// and bools are converted to f32 first, f64 is rounded once (by ml_dtypes twice). Not
/// differentiable.
Tensor to_float8(const Tensor& x, Float8 format, Float8Overflow overflow = Float8Overflow::kCast);
/// The numbers that u8 are the bits of; exact in every floating type.
/// @throws DTypeError for other operands than u8, and types that are not floating.
Tensor from_float8(const Tensor& bits, Float8 format, DType dtype = DType::kF32);

}  // namespace linnet

#pragma GCC visibility pop
