// Checks shared by the tests of random numbers.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "linnet/random.h"

namespace linnet::testing {

using Words = std::vector<uint32_t>;

inline Words words(const Tensor& x) { return x.to_vector<uint32_t>(); }
inline Words words(const random::Key& key) { return key.data().to_vector<uint32_t>(); }

/// The bit patterns of f32 elements.
inline Words float_words(const Tensor& x) {
  Words out;
  for (float value : x.to_vector<float>()) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

/// Elements within `ulps` units in the last place (f32) of the numbers with the given bit patterns.
inline void expect_ulps(const Tensor& x, const Words& expected, int ulps, const std::string& what) {
  ASSERT_EQ(x.dtype(), DType::kF32) << what;
  const std::vector<float> got = x.to_vector<float>();
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    const float value = std::bit_cast<float>(expected[i]);
    const float unit = std::nextafter(std::abs(value), INFINITY) - std::abs(value);
    EXPECT_LE(std::abs(got[i] - value), static_cast<float>(ulps) * unit)
        << what << ": element " << i << " is " << got[i];
  }
}

/// Elements within `tolerance` of max(1, |expected|).
inline void expect_values(const Tensor& x, const std::vector<double>& expected, double tolerance,
                          const std::string& what) {
  const std::vector<double> got = x.to_vector<double>();
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i])))
        << what << ": element " << i;
  }
}

/// Equal in dtype, shape and every bit.
inline void expect_identical(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(type_string(got.dtype(), got.shape()), type_string(expected.dtype(), expected.shape()))
      << what;
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint64_t>(a[i]), std::bit_cast<uint64_t>(b[i]))
        << what << ": element " << i;
  }
}

}  // namespace linnet::testing
