// Eight-bit floating numbers by operations on their bits.
#include "linnet/float8.h"

#include <bit>

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

struct Format {
  std::string_view name;
  uint32_t mantissa, bias;
  uint32_t largest;   ///< bits of the largest finite number
  uint32_t overflow;  ///< of what larger ones become: the one NaN, or infinity
  uint32_t nan;
};
constexpr Format kFormats[] = {{"F8_E4M3", 3, 7, 0x7E, 0x7F, 0x7F},
                               {"F8_E5M2", 2, 15, 0x7B, 0x7C, 0x7E}};
const Format& format_of(Float8 format) { return kFormats[static_cast<int>(format)]; }

Tensor word(uint32_t value) { return scalar_integer(value, DType::kU32); }

/// The bits of `x` in f32. Of f64, of the number towards 0 with the last bit set if something was
/// cut off: it lies on the same side of every tie.
Tensor bits_of(const Tensor& x) {
  const Tensor narrow = astype(x, DType::kF32);
  const Tensor bits = bitcast(narrow, DType::kU32);
  if (x.dtype() != DType::kF64) return bits;
  const Tensor back = astype(narrow, DType::kF64);
  const Tensor below = where(abs(back) > abs(x), bits - word(1), bits);
  return where(equal(back, x), bits, below | word(1));
}

}  // namespace

std::string_view name_of(Float8 format) { return format_of(format).name; }
std::optional<Float8> float8_named(std::string_view name) {
  for (Float8 format : {Float8::kE4M3, Float8::kE5M2})
    if (name_of(format) == name) return format;
  return {};
}

Tensor to_float8(const Tensor& x, Float8 format, Float8Overflow overflow) {
  const Format& f = format_of(format);
  const Tensor bits = bits_of(stop_gradient(x));
  const Tensor sign = shift_right_logical(bits, word(24)) & word(0x80);
  const Tensor size = bits & word(0x7FFFFFFF);
  const uint32_t shift = 23 - f.mantissa, least_normal = (128 - f.bias) << 23;
  const Tensor odd = shift_right_logical(size, word(shift)) & word(1);
  const Tensor rounded =
      shift_right_logical(size + word((1U << (shift - 1)) - 1) + odd, word(shift));
  const Tensor normal = rounded - word((127 - f.bias) << f.mantissa);
  // Added to a number whose last bit has the worth of the least subnormal one.
  const float unit = std::bit_cast<float>((127 - f.bias + 1 - f.mantissa + 23) << 23);
  const Tensor small = minimum(size, word(least_normal));
  const Tensor subnormal =
      bitcast(bitcast(small, DType::kF32) + scalar(unit, DType::kF32), DType::kU32) -
      word(std::bit_cast<uint32_t>(unit));
  const Tensor finite = where(size < word(least_normal), subnormal, normal);
  const uint32_t beyond = overflow == Float8Overflow::kSaturate ? f.largest : f.overflow;
  const Tensor huge = logical_or(size >= word(0x7F800000), finite > word(f.largest));
  const Tensor value =
      where(size > word(0x7F800000), word(f.nan), where(huge, word(beyond), finite));
  return astype(value | sign, DType::kU8);
}

Tensor from_float8(const Tensor& bits, Float8 format, DType dtype) {
  if (bits.dtype() != DType::kU8 || !is_floating(dtype))
    fail<DTypeError>("from_float8: expected u8 and a floating type, got {} and {}",
                     to_string(bits.type()), name_of(dtype));
  const Format& f = format_of(format);
  const Tensor wide = astype(bits, DType::kU32);
  const Tensor sign = shift_left(wide & word(0x80), word(24)), size = wide & word(0x7F);
  const Tensor normal = shift_left(size, word(23 - f.mantissa)) + word((127 - f.bias) << 23);
  const float unit = std::bit_cast<float>((127 - f.bias + 1 - f.mantissa) << 23);
  const Tensor subnormal = bitcast(astype(size, DType::kF32) * unit, DType::kU32);
  Tensor value = where(size < word(1U << f.mantissa), subnormal, normal);
  value = where(size > word(f.largest), word(0x7FC00000), value);
  if (f.overflow != f.nan) value = where(equal(size, word(f.overflow)), word(0x7F800000), value);
  return astype(bitcast(value | sign, DType::kF32), dtype);
}

}  // namespace linnet
