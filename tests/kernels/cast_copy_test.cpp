// Conversions, copies and fills of strided memory, compared with loops written here.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/scalar/host.h"
#include "linnet/shape.h"
#include "linnet/visit_dtype.h"
#include "tests/kernels/strided_test_data.h"

namespace linnet::cpu::cast_copy_test {
namespace {

template <class From, class To>
std::vector<To> convert_all(const std::vector<From>& x) {
  const Dims shape{static_cast<int64_t>(x.size())}, one{1};
  std::vector<To> out(x.size());
  cast(dtype_of<From>(), dtype_of<To>(), shape, {x.data(), one.data()}, {out.data(), one.data()});
  return out;
}

TEST(Cast, FloatToIntegerSaturates) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> x{0,    -0.9,  1.9, -1.9, 127.5,        128,   -128.9,       -129,
                              1e30, -1e30, inf, -inf, std::nan(""), 255.9, 2147483647.5, 9.3e18};
  EXPECT_EQ((convert_all<double, int8_t>(x)),
            (std::vector<int8_t>{0, 0, 1, -1, 127, 127, -128, -128, 127, -128, 127, -128, 0, 127,
                                 127, 127}));
  EXPECT_EQ((convert_all<double, uint8_t>(x)),
            (std::vector<uint8_t>{0, 0, 1, 0, 127, 128, 0, 0, 255, 0, 255, 0, 0, 255, 255, 255}));
  EXPECT_EQ(
      (convert_all<double, int32_t>({2147483647.5, 2147483648.0, -2147483648.5, -2147483649.0})),
      (std::vector<int32_t>{INT32_MAX, INT32_MAX, INT32_MIN, INT32_MIN}));
  EXPECT_EQ((convert_all<float, int32_t>({2147483520.0f, 2147483648.0f, -2147483648.0f, -3e9f})),
            (std::vector<int32_t>{2147483520, INT32_MAX, INT32_MIN, INT32_MIN}));
  EXPECT_EQ((convert_all<double, int64_t>({9.3e18, -9.3e18, 4e15 + 0.5, std::nan("")})),
            (std::vector<int64_t>{INT64_MAX, INT64_MIN, 4000000000000000, 0}));
  EXPECT_EQ((convert_all<float, uint64_t>({1.9e19f, -1.0f, 1e10f})),
            (std::vector<uint64_t>{UINT64_MAX, 0, 10000000000ull}));
}

TEST(Cast, IntegersWrapAndBoolIsNotZero) {
  EXPECT_EQ((convert_all<int32_t, int8_t>({300, -129, 5})), (std::vector<int8_t>{44, 127, 5}));
  EXPECT_EQ((convert_all<int64_t, uint16_t>({-1, 65536})), (std::vector<uint16_t>{65535, 0}));
  const Dims shape{4}, one{1};
  const float x[] = {0.0f, -0.0f, 1e-45f, std::nanf("")};
  uint8_t out[4];
  cast(DType::kF32, DType::kBool, shape, {x, one.data()}, {out, one.data()});
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[1], 0);
  EXPECT_EQ(out[2], 1);
  EXPECT_EQ(out[3], 1);
  float back[4];
  cast(DType::kBool, DType::kF32, shape, {out, one.data()}, {back, one.data()});
  EXPECT_EQ(back[2], 1.0f);
}

template <class T>
void check_half_casts() {
  std::mt19937_64 random(9);
  std::vector<float> x;
  for (int i = 0; i < 20000; ++i)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  for (const T half : all_halves<T>()) x.push_back(static_cast<float>(half));
  const std::vector<T> y = convert_all<float, T>(x);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(same_half(y[i], T(x[i]))) << x[i];
  const std::vector<T> halves = all_halves<T>();
  const std::vector<float> wide = convert_all<T, float>(halves);
  for (size_t i = 0; i < wide.size(); ++i) {
    const float expected = static_cast<float>(halves[i]);
    ASSERT_TRUE(wide[i] == expected || (std::isnan(wide[i]) && std::isnan(expected)));
  }
}

TEST(Cast, HalvesRoundToNearestEven) {
  check_half_casts<float16>();
  check_half_casts<bfloat16>();
  // Half a unit of bf16 above 1, plus less than f32 can hold: rounding twice would go down to even.
  EXPECT_EQ(static_cast<float>(convert_all<double, bfloat16>({1 + 0x1p-8 + 0x1p-40})[0]),
            1.0f + 0x1p-7f);
  EXPECT_EQ(static_cast<float>(convert_all<double, bfloat16>({1 + 0x1p-8 - 0x1p-40})[0]), 1.0f);
  EXPECT_EQ(static_cast<float>(convert_all<double, float16>({1 + 0x1p-11 + 0x1p-40})[0]),
            1.0f + 0x1p-10f);
  EXPECT_EQ(static_cast<float>(convert_all<double, float16>({1e300})[0]),
            std::numeric_limits<float>::infinity());
  EXPECT_EQ(static_cast<float>(convert_all<double, bfloat16>({-1e300})[0]),
            -std::numeric_limits<float>::infinity());
  EXPECT_EQ(static_cast<float>(convert_all<int32_t, bfloat16>({(1 << 30) + (1 << 22) + 1})[0]),
            0x1p30f + 0x1p23f);
  EXPECT_EQ(static_cast<float>(
                convert_all<int64_t, bfloat16>({(int64_t{1} << 62) + (int64_t{1} << 54) + 1})[0]),
            0x1p62f + 0x1p55f);
  EXPECT_EQ(static_cast<float>(
                convert_all<int64_t, bfloat16>({-(int64_t{1} << 62) - (int64_t{1} << 54) - 1})[0]),
            -0x1p62f - 0x1p55f);
  EXPECT_EQ(static_cast<float>(
                convert_all<int64_t, bfloat16>({(int64_t{1} << 62) + (int64_t{1} << 54)})[0]),
            0x1p62f);
  EXPECT_TRUE(std::isnan(static_cast<float>(convert_all<double, float16>({std::nan("")})[0])));
  EXPECT_EQ((convert_all<bfloat16, int8_t>({bfloat16(-3.5f), bfloat16(1e9f)})),
            (std::vector<int8_t>{-3, 127}));
  EXPECT_EQ(static_cast<float>(convert_all<bfloat16, float16>({bfloat16(3.5f)})[0]), 3.5f);
}

template <class T>
void check_copy(const Dims& shape, const Dims& from_strides, const Dims& to_strides) {
  int64_t from_extent = 1, to_extent = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    from_extent += (shape[d] - 1) * from_strides[d];
    to_extent += (shape[d] - 1) * to_strides[d];
  }
  std::vector<T> from(static_cast<size_t>(from_extent)), to(static_cast<size_t>(to_extent), T(251));
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i * 7 % 250);
  std::vector<T> expected = to;
  for (int64_t i = 0; i < count_of(shape); ++i) {
    expected[static_cast<size_t>(offset_of(shape, to_strides, i))] =
        from[static_cast<size_t>(offset_of(shape, from_strides, i))];
  }
  copy_strided(sizeof(T), shape, {from.data(), from_strides.data()},
               {to.data(), to_strides.data()});
  EXPECT_EQ(to, expected) << to_string(shape);
}

template <class T>
void check_copies() {
  check_copy<T>({}, {}, {});
  check_copy<T>({100, 200}, {1, 100}, {200, 1});
  check_copy<T>({33, 17}, {1, 40}, {17, 1});
  check_copy<T>({3, 50, 70}, {3500, 1, 50}, {3500, 70, 1});
  check_copy<T>({2, 40, 40, 20}, {32000, 40, 1, 1600}, {32000, 800, 20, 1});
  check_copy<T>({5, 6, 7}, {1, 5, 30}, {42, 7, 1});
  check_copy<T>({10, 300}, {0, 1}, {300, 1});
  check_copy<T>({10, 300}, {1, 0}, {600, 2});
  // Transpositions: prime sizes, ends of blocks and of vectors, rows with gaps on either side, rows
  // joined from two dimensions, the source dense along the outermost or a middle dimension.
  check_copy<T>({257, 131}, {1, 257}, {131, 1});
  check_copy<T>({8, 8}, {1, 8}, {8, 1});
  check_copy<T>({7, 200}, {1, 7}, {200, 1});
  check_copy<T>({129, 65}, {1, 200}, {70, 1});
  check_copy<T>({2, 5, 7, 40}, {1400, 7, 1, 35}, {1400, 280, 40, 1});
  check_copy<T>({19, 3, 4, 23}, {1, 19, 57, 228}, {276, 92, 23, 1});
  check_copy<T>({3, 19, 23}, {0, 1, 19}, {437, 23, 1});
  check_copy<T>({64, 0}, {1, 64}, {1, 1});
  check_copy<T>({1, 64, 64}, {1, 1, 64}, {4096, 64, 1});
}

// Results that do not fit the cache are written past it, from aligned addresses only.
TEST(Copy, LargeTranspositions) {
  check_copy<uint32_t>({1024, 2080}, {1, 1024}, {2080, 1});
  check_copy<uint64_t>({1031, 1109}, {1, 1031}, {1109, 1});
  check_copy<uint64_t>({1024, 1056}, {1, 1100}, {1056, 1});
}

TEST(Copy, Views) {
  check_copies<uint8_t>();
  check_copies<uint16_t>();
  check_copies<uint32_t>();
  check_copies<uint64_t>();
}

TEST(Fill, AllTypes) {
  const Dims shape{3, 50}, strides{60, 1};
  for (int t = 0; t < kRealDTypeCount; ++t) {
    visit_dtype(static_cast<DType>(t), [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_same_v<T, bool>) {
        std::vector<uint8_t> out(180, 7);
        fill(DType::kBool, int64_t{5}, shape, {out.data(), strides.data()});
        EXPECT_EQ(out[0], 1);
        EXPECT_EQ(out[55], 7);
      } else {
        std::vector<T> out(180, T(1.0f));
        fill(dtype_of<T>(), 3.0, shape, {out.data(), strides.data()});
        EXPECT_EQ(static_cast<double>(static_cast<float>(out[169])), 3.0);
        EXPECT_EQ(static_cast<double>(static_cast<float>(out[55])), 1.0);
      }
    });
  }
  int64_t wide = 0;
  fill(DType::kI64, int64_t{INT64_MAX - 1}, {}, {&wide, nullptr});
  EXPECT_EQ(wide, INT64_MAX - 1);
}

}  // namespace
}  // namespace linnet::cpu::cast_copy_test
