#include "numbers.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <library_types.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace linnet::fake_cublaslt {
namespace {

template <class Bits>
Bits read(const std::byte* from, int64_t index) {
  Bits bits;
  std::memcpy(&bits, from + index * static_cast<int64_t>(sizeof bits), sizeof bits);
  return bits;
}

template <class Bits>
void write(std::byte* to, int64_t index, Bits bits) {
  std::memcpy(to + index * static_cast<int64_t>(sizeof bits), &bits, sizeof bits);
}

/// To `kept` bits of the 23 of an f32, ties to even. Rounding a double to f32 first would round
/// twice; so the f32 is made odd where it is not exact, which decides ties.
uint32_t odd_bits(double value) {
  float single = static_cast<float>(value);
  if (!std::isfinite(value) || !std::isfinite(single) || static_cast<double>(single) == value)
    return std::bit_cast<uint32_t>(single);
  if (std::fabs(static_cast<double>(single)) > std::fabs(value))
    single = std::nextafterf(single, 0.f);
  return std::bit_cast<uint32_t>(single) | 1;
}

uint16_t to_bf16(double value) {
  if (std::isnan(value)) return 0x7FFF;
  const uint32_t bits = odd_bits(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

template <__nv_fp8_interpretation_t kKind>
constexpr Elements kFp8{[](const std::byte* from, int64_t i) {
                          const __half_raw half =
                              __nv_cvt_fp8_to_halfraw(read<uint8_t>(from, i), kKind);
                          return static_cast<double>(__half2float(__half(half)));
                        },
                        [](std::byte* to, int64_t i, double v) {
                          write<uint8_t>(to, i, __nv_cvt_double_to_fp8(v, __NV_SATFINITE, kKind));
                        }};

constexpr Elements kF32{
    [](const std::byte* from, int64_t i) { return static_cast<double>(read<float>(from, i)); },
    [](std::byte* to, int64_t i, double v) { write(to, i, static_cast<float>(v)); }};
constexpr Elements kF64{[](const std::byte* from, int64_t i) { return read<double>(from, i); },
                        [](std::byte* to, int64_t i, double v) { write(to, i, v); }};
constexpr Elements kF16{
    [](const std::byte* from, int64_t i) {
      return static_cast<double>(__half2float(__half(__half_raw{read<uint16_t>(from, i)})));
    },
    [](std::byte* to, int64_t i, double v) {
      write(to, i, static_cast<__half_raw>(__double2half(v)).x);
    }};
constexpr Elements kBf16{[](const std::byte* from, int64_t i) {
                           const uint32_t bits = uint32_t{read<uint16_t>(from, i)} << 16;
                           return static_cast<double>(std::bit_cast<float>(bits));
                         },
                         [](std::byte* to, int64_t i, double v) { write(to, i, to_bf16(v)); }};

}  // namespace

const Elements& elements_of(uint32_t type) {
  switch (type) {
    case CUDA_R_32F:
      return kF32;
    case CUDA_R_64F:
      return kF64;
    case CUDA_R_16F:
      return kF16;
    case CUDA_R_16BF:
      return kBf16;
    case CUDA_R_8F_E4M3:
      return kFp8<__NV_E4M3>;
    case CUDA_R_8F_E5M2:
      return kFp8<__NV_E5M2>;
    default:
      throw std::runtime_error("elements of an unknown type");
  }
}

float to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x1000) & ~uint32_t{0x1FFF});
}

}  // namespace linnet::fake_cublaslt
