// Element types: names, limits, the 16-bit floats exhaustively, and the laws of promotion.
#include <cmath>
#include <limits>

#include "linnet/visit_dtype.h"
#include "tests/core/core_support.h"

namespace linnet::dtype_test {
namespace {

using test::expect_error;

std::vector<DType> all_dtypes() {
  std::vector<DType> out;
  for (int i = 0; i < kDTypeCount; ++i) out.push_back(static_cast<DType>(i));
  return out;
}

TEST(DType, J_001_names_and_sizes) {
  std::string text;
  for (DType d : all_dtypes())
    text += std::string(name_of(d)) + ":" + std::to_string(size_of(d)) + " ";
  EXPECT_EQ(text,
            "bool:1 i8:1 i16:2 i32:4 i64:8 u8:1 u16:2 u32:4 u64:8 f16:2 bf16:2 f32:4 f64:8 "
            "c64:8 c128:16 ");
  for (DType d : all_dtypes()) {
    EXPECT_EQ(is_inexact(d), is_floating(d) || is_complex(d)) << name_of(d);
    if (is_complex(d)) {
      EXPECT_EQ(complex_dtype_of(real_dtype_of(d)), d);
      expect_error<DTypeError>("expected a real dtype, got " + std::string(name_of(d)) +
                                   "\n  hint: take real(x), imag(x) or abs(x)",
                               [&] { visit_dtype(d, [](auto) {}); });
      continue;
    }
    visit_dtype(d, [&](auto zero) {
      EXPECT_EQ(dtype_of<decltype(zero)>(), d);
      EXPECT_EQ(sizeof zero, size_of(d));
    });
    EXPECT_EQ(is_integer(d), is_signed_integer(d) || is_unsigned_integer(d)) << name_of(d);
    EXPECT_EQ(is_floating(d) + is_integer(d) + (d == DType::kBool), 1) << name_of(d);
  }
  static_assert(dtype_of<long>() == DType::kI64 && dtype_of<unsigned long long>() == DType::kU64);
}

TEST(DType, J_004_limits_of_floats) {
  const FloatInfo single = finfo(DType::kF32), twice = finfo(DType::kF64);
  using F = std::numeric_limits<float>;
  using D = std::numeric_limits<double>;
  EXPECT_EQ(single.eps, F::epsilon());
  EXPECT_EQ(single.max, F::max());
  EXPECT_EQ(single.lowest, F::lowest());
  EXPECT_EQ(single.tiny, F::min());
  EXPECT_EQ(twice.eps, D::epsilon());
  EXPECT_EQ(twice.max, D::max());
  EXPECT_EQ(twice.tiny, D::min());
  EXPECT_EQ(finfo(DType::kF16).max, 65504);
  EXPECT_EQ(finfo(DType::kF16).eps, 0x1p-10);
  EXPECT_EQ(finfo(DType::kBF16).eps, 0x1p-7);
  EXPECT_NEAR(finfo(DType::kBF16).max, 3.3895e38, 1e34);
  EXPECT_EQ(finfo(DType::kBF16).tiny, F::min());
  for (DType d : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const FloatInfo info = finfo(d);
    EXPECT_EQ(info.bits, static_cast<int>(size_of(d)) * 8);
    EXPECT_EQ(info.eps, std::ldexp(1.0, -info.mantissa_bits));
    // The limits are numbers of the type.
    for (double limit : {info.max, info.lowest, info.tiny, 1 + info.eps}) {
      EXPECT_EQ(scalar(limit, d).item<double>(), limit) << name_of(d);
    }
    EXPECT_EQ(scalar(1 + info.eps / 4, d).item<double>(), 1) << name_of(d);
  }
  expect_error<DTypeError>("finfo: expected a floating dtype, got i32",
                           [] { (void)finfo(DType::kI32); });
}

TEST(DType, J_004_limits_of_integers) {
  const auto check = [](DType d, auto zero) {
    using L = std::numeric_limits<decltype(zero)>;
    EXPECT_EQ(iinfo(d).min, static_cast<int64_t>(L::min())) << name_of(d);
    EXPECT_EQ(iinfo(d).max, static_cast<uint64_t>(L::max())) << name_of(d);
    EXPECT_EQ(iinfo(d).bits, static_cast<int>(sizeof(zero)) * 8) << name_of(d);
  };
  for (DType d : all_dtypes()) {
    if (is_integer(d)) {
      visit_dtype(d, [&](auto zero) {
        if constexpr (std::is_integral_v<decltype(zero)> && !std::is_same_v<decltype(zero), bool>)
          check(d, zero);
      });
    } else {
      EXPECT_THROW((void)iinfo(d), DTypeError);
    }
  }
  expect_error<DTypeError>("iinfo: expected an integer dtype, got bool",
                           [] { (void)iinfo(DType::kBool); });
}

/// Every finite value survives, and every point between two neighbours rounds to the nearer one,
/// the middle to the even one.
template <class Half>
void check_half() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto from_bits = [](uint16_t bits) {
    Half h;
    h.bits = bits;
    return h;
  };
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = static_cast<float>(from_bits(static_cast<uint16_t>(bits)));
    const Half back(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(back)));
      EXPECT_EQ(back.bits >> 15, bits >> 15);
    } else {
      EXPECT_EQ(back.bits, bits);
    }
  }
  for (uint16_t bits = 0;; ++bits) {
    const float low = static_cast<float>(from_bits(bits));
    const float high = static_cast<float>(from_bits(static_cast<uint16_t>(bits + 1)));
    if (!std::isfinite(high)) break;
    const float middle = static_cast<float>((static_cast<double>(low) + high) / 2);
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    if (middle == low || middle == high) continue;  // below the smallest float
    ASSERT_EQ(Half(middle).bits, even) << bits;
    ASSERT_EQ(Half(std::nextafter(middle, -kInfinity)).bits, bits);
    ASSERT_EQ(Half(std::nextafter(middle, kInfinity)).bits, bits + 1);
    ASSERT_EQ(Half(-middle).bits, even | 0x8000);
  }
}

TEST(DType, J_005_float16_rounds_to_nearest_even) {
  check_half<float16>();
  EXPECT_EQ(float16(65519.f).bits, 0x7BFF);
  EXPECT_EQ(float16(65520.f).bits, 0x7C00) << "half way to 2^16 overflows";
  EXPECT_EQ(float16(1e30f).bits, 0x7C00);
  EXPECT_EQ(float16(-1e30f).bits, 0xFC00);
  EXPECT_EQ(float16(0x1p-25f).bits, 0) << "half of the least subnormal rounds to even";
  EXPECT_EQ(float16(0x1.8p-25f).bits, 1);
}

TEST(DType, J_005_bfloat16_rounds_to_nearest_even) {
  check_half<bfloat16>();
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7F80) << "rounds up to infinity";
  EXPECT_EQ(bfloat16(std::bit_cast<float>(0x7F800001u)).bits & 0x7FC0, 0x7FC0)
      << "a signalling NaN stays NaN";
}

TEST(DType, J_002_promotion_is_an_upper_bound) {
  for (DType a : all_dtypes()) {
    EXPECT_EQ(promote_types(a, a), a);
    EXPECT_EQ(promote_types(DType::kBool, a), a);
    for (DType b : all_dtypes()) {
      const DType c = promote_types(a, b);
      EXPECT_EQ(c, promote_types(b, a)) << name_of(a) << " " << name_of(b);
      EXPECT_EQ(promote_types(c, a), c) << name_of(a) << " " << name_of(b);
      EXPECT_EQ(promote_types(c, b), c) << name_of(a) << " " << name_of(b);
    }
  }
}

TEST(DType, J_002_promotion_by_example) {
  EXPECT_EQ(promote_types(DType::kF16, DType::kBF16), DType::kF32);
  EXPECT_EQ(promote_types(DType::kI64, DType::kF16), DType::kF16);
  EXPECT_EQ(promote_types(DType::kU8, DType::kI8), DType::kI16);
  EXPECT_EQ(promote_types(DType::kU8, DType::kI64), DType::kI64);
  EXPECT_EQ(promote_types(DType::kU32, DType::kI32), DType::kI64);
  EXPECT_EQ(promote_types(DType::kU64, DType::kI8), DType::kF32);
  EXPECT_EQ(promote_types(DType::kU16, DType::kU64), DType::kU64);
}

TEST(DType, J_002_weak_operands_give_way_within_their_category) {
  const auto strong = [](DType d) { return WeakDType{d, false}; };
  const auto weak = [](DType d) { return WeakDType{d, true}; };
  EXPECT_EQ(promote_types(strong(DType::kBF16), weak(DType::kF32)), strong(DType::kBF16));
  EXPECT_EQ(promote_types(weak(DType::kI32), strong(DType::kU8)), strong(DType::kU8));
  EXPECT_EQ(promote_types(weak(DType::kBool), strong(DType::kI8)), strong(DType::kI8));
  EXPECT_EQ(promote_types(weak(DType::kI32), strong(DType::kF16)), strong(DType::kF16));
  EXPECT_EQ(promote_types(weak(DType::kF32), strong(DType::kI8)), weak(DType::kF32));
  EXPECT_EQ(promote_types(weak(DType::kF32), weak(DType::kI32)), weak(DType::kF32));
  EXPECT_EQ(promote_types(strong(DType::kF64), strong(DType::kF32)), strong(DType::kF64));
}

}  // namespace
}  // namespace linnet::dtype_test
