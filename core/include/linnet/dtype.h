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
  kF64
};

inline constexpr int kDTypeCount = 13;

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
  constexpr uint8_t kSizes[kDTypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
  return kSizes[static_cast<int>(dtype)];
}

/// Short name as used in messages and graphs: `f32`, `bf16`, `i64`, `bool`.
std::string_view name_of(DType dtype);

constexpr bool is_floating(DType dtype) { return dtype >= DType::kF16; }
constexpr bool is_signed_integer(DType dtype) {
  return dtype >= DType::kI8 && dtype <= DType::kI64;
}
constexpr bool is_unsigned_integer(DType dtype) {
  return dtype >= DType::kU8 && dtype <= DType::kU64;
}
constexpr bool is_integer(DType dtype) { return dtype >= DType::kI8 && dtype <= DType::kU64; }

/// The dtype both operands are converted to (J-002): the least upper bound in the JAX lattice of
/// bool < unsigned/signed integers < floats. Mixed signedness widens (u8+i8 is i16, u32+i32 is i64,
/// u64+signed is f32); f16 with bf16 is f32.
DType promote_types(DType a, DType b);

/// Promotion with weak operands: a weak scalar (a C++ literal) takes the dtype of the strong one
/// unless it belongs to a higher category (bool < integer < float), then the default type of its
/// category (f32 for floats, i32 for integers).
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
  else {
    static_assert(__is_same(U, char) == false && T(1) == T(1), "not an element type of a tensor");
    constexpr bool is_negative_possible = T(-1) < T(0);
    constexpr int log_size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<DType>((is_negative_possible ? 1 : 5) + log_size);
  }
}

/// Calls `f(std::type_identity<T>{})`-style with a value of the element type of `dtype`:
/// `visit_dtype(d, [&](auto zero) { using T = decltype(zero); ... })`.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kBool:
      return f(bool{});
    case DType::kI8:
      return f(int8_t{});
    case DType::kI16:
      return f(int16_t{});
    case DType::kI32:
      return f(int32_t{});
    case DType::kI64:
      return f(int64_t{});
    case DType::kU8:
      return f(uint8_t{});
    case DType::kU16:
      return f(uint16_t{});
    case DType::kU32:
      return f(uint32_t{});
    case DType::kU64:
      return f(uint64_t{});
    case DType::kF16:
      return f(float16{});
    case DType::kBF16:
      return f(bfloat16{});
    case DType::kF32:
      return f(float{});
    case DType::kF64:
      break;
  }
  return f(double{});
}

}  // namespace linnet

#pragma GCC visibility pop
