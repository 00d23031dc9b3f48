// Unsigned numbers of the same order as elements: equal for equal elements (-0 and +0, any two
// NaN), and greatest for NaN.
#pragma once

#include "kernels/cuda/device/fold.h"

namespace linnet::cuda {

template <class Bits>
LINNET_DEVICE Bits key_of_float_bits(Bits bits, bool is_nan, bool is_zero) {
  constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  if (is_nan) return static_cast<Bits>(~Bits{0});
  if (is_zero) return kSign;
  return static_cast<Bits>((bits & kSign) != 0 ? ~bits : bits | kSign);
}

LINNET_DEVICE uint32_t order_key(float x) {
  return key_of_float_bits(__builtin_bit_cast(uint32_t, x), x != x, x == 0);
}
LINNET_DEVICE uint64_t order_key(double x) {
  return key_of_float_bits(__builtin_bit_cast(uint64_t, x), x != x, x == 0);
}
LINNET_DEVICE uint16_t order_key(Bf16 x) {
  return key_of_float_bits(x.word, (x.word & 0x7fffu) > 0x7f80u, (x.word & 0x7fffu) == 0);
}
LINNET_DEVICE uint16_t order_key(Half x) {
  return key_of_float_bits(x.word, (x.word & 0x7fffu) > 0x7c00u, (x.word & 0x7fffu) == 0);
}

/// The key of element `at` of any type; it takes as many bytes as the element.
LINNET_DEVICE uint64_t order_key(ElementType type, const void* x, int64_t at) {
  switch (type) {
    case ElementType::kBool:
    case ElementType::kU8:
      return static_cast<const uint8_t*>(x)[at];
    case ElementType::kI8:
      return static_cast<const uint8_t*>(x)[at] ^ 0x80u;
    case ElementType::kU16:
      return static_cast<const uint16_t*>(x)[at];
    case ElementType::kI16:
      return static_cast<const uint16_t*>(x)[at] ^ 0x8000u;
    case ElementType::kU32:
      return static_cast<const uint32_t*>(x)[at];
    case ElementType::kI32:
      return static_cast<const uint32_t*>(x)[at] ^ 0x80000000u;
    case ElementType::kU64:
      return static_cast<const uint64_t*>(x)[at];
    case ElementType::kI64:
      return static_cast<const uint64_t*>(x)[at] ^ uint64_t { 1 } << 63;
    case ElementType::kF16:
      return order_key(static_cast<const Half*>(x)[at]);
    case ElementType::kBF16:
      return order_key(static_cast<const Bf16*>(x)[at]);
    case ElementType::kF32:
      return order_key(static_cast<const float*>(x)[at]);
    case ElementType::kF64:
      break;
  }
  return order_key(static_cast<const double*>(x)[at]);
}

}  // namespace linnet::cuda
