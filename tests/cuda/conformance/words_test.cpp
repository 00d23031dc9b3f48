#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "cuda/conformance/run.h"
#include "linnet/dtype.h"

namespace linnet::cuda::words_test {
namespace {

using Words = std::vector<uint32_t>;

Words some_words(size_t count) {
  Words words(count);
  uint32_t x = 54321;
  for (uint32_t& word : words) word = x = x * 1664525u + 1013904223u;
  return words;
}

// The first and last of each `pack` values of `size` bytes change places.
Words exchanged(const Words& words, size_t size, size_t pack) {
  std::vector<unsigned char> bytes(words.size() * 4);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  for (size_t at = 0; at < bytes.size(); at += size * pack) {
    std::swap_ranges(&bytes[at], &bytes[at] + size, &bytes[at + size * (pack - 1)]);
  }
  Words result(words.size());
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

TEST(ConformanceWords, Packs) {
  const int words = 512;
  const Words in = some_words(words);
  const Words out = run_conformance({.kernel = "conformance_packs", .threads = 64, .count = words},
                                    in, 6 * words);
  const std::pair<size_t, size_t> copies[] = {{4, 4}, {4, 2}, {2, 8}, {2, 4}, {1, 16}, {8, 2}};
  for (size_t i = 0; i < std::size(copies); ++i) {
    const auto begin = out.begin() + static_cast<ptrdiff_t>(i) * words;
    EXPECT_EQ(Words(begin, begin + words), exchanged(in, copies[i].first, copies[i].second))
        << copies[i].second << " values of " << copies[i].first << " bytes";
  }
}

TEST(ConformanceWords, ReadOnly) {
  const Words in = some_words(256);
  const Words out = run_conformance(
      {.kernel = "conformance_read_only", .threads = 64, .count = 256}, in, 5 * 256);
  for (size_t i = 0; i < 256; ++i) {
    const size_t first = i / 4 * 4;
    EXPECT_EQ(out[5 * i], in[i]);
    EXPECT_EQ(out[5 * i + 1], in[first + 3]);
    EXPECT_EQ(out[5 * i + 2], in[first + i % 8 / 2] >> i % 2 * 16 & 0xffffu);
    EXPECT_EQ(out[5 * i + 3], in[first + i % 16 / 4] >> i % 4 * 8 & 0xffu);
    EXPECT_EQ(out[5 * i + 4], in[i]);
  }
}

TEST(ConformanceWords, Bits) {
  Words in = some_words(128);
  in[0] = 0;
  in[1] = 1;
  in[2] = 0xffffffffu;
  in[3] = 0x80000000u;
  const Words out =
      run_conformance({.kernel = "conformance_bits", .threads = 64, .count = 128}, in, 3 * 128);
  for (size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(out[3 * i], static_cast<uint32_t>(uint64_t{in[i]} * in[(i + 1) % 128] >> 32));
    EXPECT_EQ(out[3 * i + 1], static_cast<uint32_t>(std::countl_zero(in[i])));
    EXPECT_EQ(out[3 * i + 2], static_cast<uint32_t>(std::popcount(in[i])));
  }
}

// What is subnormal is zero, before and after.
float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

// Equal, both NaN, or `ulps` apart at most.
void expect_close(uint32_t word, double exact, double ulps, float x, const char* what) {
  const float value = std::bit_cast<float>(word), expected = flushed(static_cast<float>(exact));
  if (std::isnan(expected) || std::isinf(expected) || expected == 0) {
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << what << " " << x;
    } else {
      EXPECT_EQ(word, std::bit_cast<uint32_t>(expected)) << what << " " << x;
    }
    return;
  }
  const double ulp = std::ldexp(1.0, std::ilogb(expected) - 23);
  EXPECT_TRUE(std::fabs(value - exact) <= ulps * ulp) << what << " of " << x << ": " << value;
}

// The bounds of the PTX manual: 2 ulp for ex2.approx.ftz, 1 for rcp.approx.ftz, a relative error of
// 2^-22.9 for rsqrt.approx.ftz.
TEST(ConformanceWords, Approximations) {
  std::vector<float> numbers{0.0f,     -0.0f,     1.0f, -1.0f,  0x1p-126f, 0x1p-127f, -0x1p-130f,
                             INFINITY, -INFINITY, NAN,  126.5f, -125.5f,   3.0f,      0x1p100f};
  for (int i = 1; i < 500; ++i) numbers.push_back(static_cast<float>(i) * 0.37f);
  for (int i = 1; i < 100; ++i) numbers.push_back(static_cast<float>(i) * -1.21f);
  Words in;
  for (float x : numbers) in.push_back(std::bit_cast<uint32_t>(x));
  const Words out = run_conformance({.kernel = "conformance_approximations",
                                     .threads = 64,
                                     .blocks = {2},
                                     .count = static_cast<int>(in.size())},
                                    in, 3 * in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const float x = flushed(numbers[i]);
    expect_close(out[3 * i], std::exp2(double{x}), 2, x, "exp2");
    expect_close(out[3 * i + 1], 1 / double{x}, 1, x, "reciprocal");
    expect_close(out[3 * i + 2], 1 / std::sqrt(double{x}), 2.2, x, "reciprocal of the root");
  }
}

bool is_nan(float x) { return std::isnan(x); }

TEST(ConformanceWords, NumbersOf16BitsAsFloats) {
  const Words out = run_conformance(
      {.kernel = "conformance_to_float", .threads = 256, .blocks = {256}}, {0}, 2 * 65536);
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t word = static_cast<uint16_t>(i);
    const auto wide = static_cast<float>(std::bit_cast<bfloat16>(word));
    const auto half = static_cast<float>(std::bit_cast<float16>(word));
    ASSERT_EQ(out[i], std::bit_cast<uint32_t>(wide)) << i;
    if (is_nan(half)) {
      ASSERT_TRUE(is_nan(std::bit_cast<float>(out[65536 + i]))) << i;
    } else {
      ASSERT_EQ(out[65536 + i], std::bit_cast<uint32_t>(half)) << i;
    }
  }
}

// Each number of 16 bits, half-way to the next, and just before and after that; some others.
Words floats_to_round() {
  Words words;
  for (uint32_t i = 0; i < 65536; i += 3) {
    const uint16_t word = static_cast<uint16_t>(i);
    const uint32_t wide = i << 16;
    const uint32_t half = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<float16>(word)));
    for (uint32_t step : {0u, 0x7fffu, 0x8000u, 0x8001u}) words.push_back(wide + step);
    for (uint32_t step : {0u, 0xfffu, 0x1000u, 0x1001u}) words.push_back(half + step);
  }
  // Subnormal halves lie as close as 2^-24.
  for (int i = 0; i < 4096; ++i) {
    words.push_back(std::bit_cast<uint32_t>(std::ldexp(static_cast<float>(i), -26)));
    words.push_back(std::bit_cast<uint32_t>(-std::ldexp(static_cast<float>(i) + 0.01f, -26)));
  }
  for (float x : {65504.0f, 65519.0f, 65519.996f, 65520.0f, 65536.0f, -65520.0f, INFINITY, NAN,
                  std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min()}) {
    words.push_back(std::bit_cast<uint32_t>(x));
  }
  return words;
}

TEST(ConformanceWords, FloatsAsNumbersOf16Bits) {
  const Words in = floats_to_round();
  const Words out = run_conformance({.kernel = "conformance_from_float",
                                     .threads = 256,
                                     .blocks = {16},
                                     .count = static_cast<int>(in.size())},
                                    in, in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const float x = std::bit_cast<float>(in[i]);
    const uint32_t wide = out[i] & 0xffffu, half = out[i] >> 16;
    if (is_nan(x)) {
      ASSERT_EQ(wide, 0x7fffu) << in[i];
      ASSERT_EQ(half, 0x7fffu) << in[i];
    } else {
      ASSERT_EQ(wide, std::bit_cast<uint16_t>(bfloat16(x))) << x << ", word " << in[i];
      ASSERT_EQ(half, std::bit_cast<uint16_t>(float16(x))) << x << ", word " << in[i];
    }
  }
}

}  // namespace
}  // namespace linnet::cuda::words_test
