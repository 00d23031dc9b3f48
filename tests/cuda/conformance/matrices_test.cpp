#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "cuda/conformance/run.h"
#include "linnet/dtype.h"

namespace linnet::cuda::matrices_test {
namespace {

using Words = std::vector<uint32_t>;

class ConformanceMatrices : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { use_order(GetParam()); }
};

// Small integers, whose products and sums are exact in any order.
template <class T>
void expect_products(const char* kernel) {
  float a[16][16], b[16][8];
  std::vector<T> numbers;
  for (int i = 0; i < 256; ++i) {
    a[i / 16][i % 16] = static_cast<float>(i * 7 % 23 - 11);
    numbers.push_back(T(a[i / 16][i % 16]));
  }
  for (int i = 0; i < 128; ++i) {
    b[i / 8][i % 8] = static_cast<float>(i * 5 % 19 - 9);
    numbers.push_back(T(b[i / 8][i % 8]));
  }
  Words in(numbers.size() / 2);
  std::memcpy(in.data(), numbers.data(), in.size() * 4);
  const Words out = run_conformance({.kernel = kernel, .threads = 32, .count = 3}, in, 128);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      EXPECT_EQ(std::bit_cast<float>(out[static_cast<size_t>(row * 8 + column)]), 3 * sum)
          << row << ", " << column;
    }
  }
}

TEST_P(ConformanceMatrices, Products) {
  expect_products<bfloat16>("conformance_mma_bf16");
  expect_products<float16>("conformance_mma_f16");
}

TEST_P(ConformanceMatrices, PlacesOfLanes) {
  const Words out =
      run_conformance({.kernel = "conformance_matrix_places", .threads = 32}, {0}, 32 * 16);
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t i = 0; i < 4; ++i) {
      // The number at row r and column c is 16 r + c.
      const uint32_t first = out[lane * 16 + 4 + i];
      EXPECT_EQ(out[lane * 16 + i], first | (first + 1) << 16) << "A, lane " << lane;
      const uint32_t second = out[lane * 16 + 12 + i];
      EXPECT_EQ(out[lane * 16 + 8 + i], second | (second + 16) << 16) << "B, lane " << lane;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, ConformanceMatrices,
                         testing::Range(size_t{0}, conformance_orders().size()),
                         [](const auto& info) { return conformance_orders()[info.param]; });

}  // namespace
}  // namespace linnet::cuda::matrices_test
