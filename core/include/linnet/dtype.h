// Element types of tensors, the 16-bit float storage types, and NumPy/JAX-style promotion.
//
//   DType d = promote_types(DType::kBF16, DType::kF32);   // DType::kF32
//   size_t bytes = size_of(d);                            // 4
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace linnet {

/// Element type of a tensor. The order is part of no file format.
enum class DType : uint8_t {
  kBool,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kU16,
  kU32,
  kU64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kC64,
  kC128
};

inline constexpr int kDTypeCount = 15;
/// The first so many are types of real numbers (and truth values).
inline constexpr int kRealDTypeCount = 13;

/// bfloat16 storage: the upper half of a float32. Conversion rounds to nearest even; NaN stays NaN.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value) {
    uint32_t word = std::bit_cast<uint32_t>(value);
    if ((word & 0x7FFFFFFFu) > 0x7F800000u) {
      bits = static_cast<uint16_t>((word >> 16) | 0x0040u);
    } else {
      bits = static_cast<uint16_t>((word + 0x7FFFu + ((word >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// IEEE 754 binary16 storage. Conversion from float rounds to nearest even; NaN stays NaN.
struct float16 {
  uint16_t bits = 0;

  float16() = default;
  explicit float16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (word >> 16) & 0x8000u;
    uint32_t magnitude = word & 0x7FFFFFFFu;
    if (magnitude >= 0x47800000u) {  // at least 2^16: infinity, or NaN with a payload bit set
      bits = static_cast<uint16_t>(sign | (magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u));
    } else if (magnitude < 0x38800000u) {  // subnormal half: adding 0.5 aligns the mantissa,
                                           // rounding on the way
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
    } else {
      magnitude += 0xC8000FFFu + ((magnitude >> 13) & 1u);
      bits = static_cast<uint16_t>(sign | (magnitude >> 13));
    }
  }
  explicit operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7FFFu;
    if (magnitude >= 0x7C00u)
      return std::bit_cast<float>(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
    if (magnitude < 0x0400u) {
      const float value = static_cast<float>(magnitude) * 0x1p-24f;
      return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
    }
    return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  }
};

/// Bytes per element.
constexpr size_t size_of(DType dtype) {
  constexpr uint8_t kSizes[kDTypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
  return kSizes[static_cast<int>(dtype)];
}

/// Short name as used in messages and graphs: `f32`, `bf16`, `i64`, `bool`, `c64`.
std::string_view name_of(DType dtype);

/// Real floating types; complex ones are not.
constexpr bool is_floating(DType dtype) { return dtype >= DType::kF16 && dtype <= DType::kF64; }
constexpr bool is_complex(DType dtype) { return dtype >= DType::kC64; }
/// Floating or complex: the types that have derivatives.
constexpr bool is_inexact(DType dtype) { return dtype >= DType::kF16; }
constexpr bool is_signed_integer(DType dtype) {
  return dtype >= DType::kI8 && dtype <= DType::kI64;
}
constexpr bool is_unsigned_integer(DType dtype) {
  return dtype >= DType::kU8 && dtype <= DType::kU64;
}
constexpr bool is_integer(DType dtype) { return dtype >= DType::kI8 && dtype <= DType::kU64; }

/// The dtype of the real and the imaginary part: f32 for c64, f64 for c128, real ones themselves.
constexpr DType real_dtype_of(DType dtype) {
  return dtype == DType::kC64 ? DType::kF32 : dtype == DType::kC128 ? DType::kF64 : dtype;
}
/// The complex dtype that numbers of a real one are promoted to: c128 for f64, otherwise c64.
constexpr DType complex_dtype_of(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kC128 ? DType::kC128 : DType::kC64;
}

/// The dtype both operands are converted to (J-002): the least upper bound in the JAX lattice of
/// bool < unsigned/signed integers < floats < complex numbers. Mixed signedness widens (u8+i8 is
/// i16, u32+i32 is i64, u64+signed is f32); f16 with bf16 is f32.
DType promote_types(DType a, DType b);

/// Promotion with weak operands: a weak scalar (a C++ literal) takes the dtype of the strong one
/// unless it belongs to a higher category (bool < integer < float < complex), then the default type
/// of its category (i32, f32, c64), or c128 for a complex literal with an f64.
/// `weak` of the result is true only if both are weak.
struct WeakDType {
  DType dtype;
  bool weak;
  bool operator==(const WeakDType&) const = default;
};
WeakDType promote_types(WeakDType a, WeakDType b);

/// Limits of a floating type. `lowest` is the most negative finite value, `tiny` the least positive
/// normal one, `eps` the distance from 1 to the next value.
struct FloatInfo {
  int bits;
  int mantissa_bits;
  double eps, max, lowest, tiny;
};
/// @throws DTypeError if `dtype` is not a floating type.
FloatInfo finfo(DType dtype);

/// Limits of an integer type (as wide integers; `max` of u64 does not fit int64_t).
struct IntInfo {
  int bits;
  int64_t min;
  uint64_t max;
};
/// @throws DTypeError if `dtype` is not an integer type.
IntInfo iinfo(DType dtype);

/// `std::complex<float>`, `std::complex<double>`, and types made like them: two numbers side by
/// side.
template <class T>
concept ComplexNumber = requires(const T z) {
  typename T::value_type;
  z.real();
  z.imag();
  requires __is_same(typename T::value_type, float) || __is_same(typename T::value_type, double);
  requires sizeof(T) == 2 * sizeof(typename T::value_type);
};

/// The DType of a C++ element type.
template <class T>
constexpr DType dtype_of() {
  using U = T;
  if constexpr (__is_same(U, bool))
    return DType::kBool;
  else if constexpr (__is_same(U, float))
    return DType::kF32;
  else if constexpr (__is_same(U, double))
    return DType::kF64;
  else if constexpr (__is_same(U, float16))
    return DType::kF16;
  else if constexpr (__is_same(U, bfloat16))
    return DType::kBF16;
  else if constexpr (ComplexNumber<U>)
    return sizeof(U) == 8 ? DType::kC64 : DType::kC128;
  else {
    static_assert(__is_same(U, char) == false && T(1) == T(1), "not an element type of a tensor");
    constexpr bool is_negative_possible = T(-1) < T(0);
    constexpr int log_size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<DType>((is_negative_possible ? 1 : 5) + log_size);
  }
}

}  // namespace linnet

#pragma GCC visibility pop
