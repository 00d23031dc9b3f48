// Counting floating-point operations of functions.
#include "linnet/count_flops.h"

#include <gtest/gtest.h>

#include "linnet/control_flow.h"
#include "linnet/core.h"

namespace linnet::count_flops_test {
namespace {

Tensor type(const Shape& shape) { return abstract({DType::kF32, shape}); }

TEST(Cost, products_sums_and_functions) {
  const auto product = [](const Tensor& a, const Tensor& b) { return matmul(a, b); };
  EXPECT_EQ(count_flops(product, type({16, 9}), type({9, 4})), 2 * 16 * 9 * 4);
  EXPECT_EQ(count_flops([](const Tensor& x) { return exp(x) + x; }, type({5, 2})), 20);
  EXPECT_EQ(count_flops([](const Tensor& x) { return sum(x); }, type({5, 2})), 10);
  EXPECT_EQ(count_flops([](const Tensor& x) { return astype(reshape(x, {10}), DType::kF16); },
                        type({5, 2})),
            0)
      << "moving values is free";
  EXPECT_EQ(count_flops([](const Tensor& x) { return x + 1; }, abstract({DType::kI32, {7}})), 0);
  // Concrete arguments are types too.
  EXPECT_EQ(count_flops(product, ones({2, 3}), ones({3, 1})), 12);
}

TEST(Cost, convolutions_and_windows) {
  const auto conv = [](const Tensor& x, const Tensor& w) {
    return conv_general_dilated(x, w, {.padding = {{1, 1}, {1, 1}}});
  };
  EXPECT_EQ(count_flops(conv, type({2, 8, 8, 3}), type({3, 3, 3, 5})),
            2 * (2 * 8 * 8 * 5) * (3 * 3 * 3));
}

TEST(Cost, composites_loops_and_branches) {
  const auto normalised = [](const Tensor& x) { return softmax(x); };
  EXPECT_GT(count_flops(normalised, type({4, 8})), 3 * 32) << "by its parts";
  const auto loop = [](const Tensor& x) {
    return scan([](const Tensor& carry, const Tensor& y) { return std::make_pair(carry * y, y); },
                ones({}), x)
        .first;
  };
  EXPECT_EQ(count_flops(loop, type({7})), 7);
  const auto branch = [](const Tensor& x) {
    return cond(
        sum(x) > 0, [](const Tensor& y) { return y * 2 + 1; }, [](const Tensor& y) { return y; },
        x);
  };
  EXPECT_EQ(count_flops(branch, type({10})), 10 + 1 + 20) << "the dearest";
  const auto compiled = jit([](const Tensor& x) { return sin(x) * x; });
  EXPECT_EQ(count_flops([&](const Tensor& x) { return compiled(x); }, type({3})), 6);
}

TEST(Cost, of_derivatives) {
  const auto f = [](const Tensor& w, const Tensor& x) { return sum(matmul(x, w)); };
  const int64_t product = 2 * 16 * 9 * 4;
  const int64_t flops = count_flops([&](const Tensor& w, const Tensor& x) { return grad(f)(w, x); },
                                    type({9, 4}), type({16, 9}));
  EXPECT_GE(flops, product);
  EXPECT_LT(flops, 3 * product);
}

}  // namespace
}  // namespace linnet::count_flops_test
