// Numbers of 16 bits on the device: storage types that are converted to float for arithmetic.
#pragma once

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

struct Bf16 {
  uint16_t word;
};
struct Half {
  uint16_t word;
};

#if defined(__CUDACC__)
LINNET_DEVICE float to_float(Bf16 x) { return __uint_as_float(uint32_t{x.word} << 16); }
LINNET_DEVICE float to_float(Half x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.word));
  return y;
}
template <class T>
LINNET_DEVICE T from_float(float x);
template <>
LINNET_DEVICE Bf16 from_float<Bf16>(float x) {
  Bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.word) : "f"(x));
  return y;
}
template <>
LINNET_DEVICE Half from_float<Half>(float x) {
  Half y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.word) : "f"(x));
  return y;
}
#else
inline float to_float(Bf16 x) { return __builtin_bit_cast(float, uint32_t{x.word} << 16); }
inline float to_float(Half x) {
  const uint32_t sign = uint32_t{x.word & 0x8000u} << 16, rest = x.word & 0x7fffu;
  if (rest >= 0x7c00u) return __builtin_bit_cast(float, sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // As if the exponent's bias were that of float, then scaled: subnormal numbers come out right.
  const float scaled = __builtin_bit_cast(float, rest << 13) * 0x1p112f;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, scaled));
}
template <class T>
T from_float(float x);
template <>
inline Bf16 from_float<Bf16>(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if (x != x) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
template <>
inline Half from_float<Half>(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x), sign = bits >> 16 & 0x8000u;
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return {0x7fff};
  if (rest >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (rest < 0x38800000u) {  // subnormal: the addition rounds
    const float shifted = __builtin_bit_cast(float, rest) + 0.5f;
    return {static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = rest + 0xfffu + (rest >> 13 & 1u);
  return {static_cast<uint16_t>(sign | (rounded - 0x38000000u) >> 13)};
}
#endif

LINNET_DEVICE float to_float(float x) { return x; }
template <>
LINNET_DEVICE float from_float<float>(float x) {
  return x;
}

}  // namespace linnet::cuda
