#include <cmath>

#include <gtest/gtest.h>
#include "linnet/core.h"
#include "tests/core/core_support.h"

namespace linnet {
namespace {

Tensor iota(int64_t rows, int64_t columns) {
  return reshape(arange(rows * columns).astype(DType::kF32), {rows, columns}) * 0.1;
}

TEST(Scan, J_088_carry_and_stacked) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + x, c * x); }, 1.0,
           tensor({1.f, 2.f, 3.f}));
  EXPECT_EQ(carry.item<float>(), 7.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{1, 4, 12}));
}

TEST(Scan, J_088_reverse) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + x, c * x); }, 1.0,
           tensor({1.f, 2.f, 3.f}), {.reverse = true});
  EXPECT_EQ(carry.item<float>(), 7.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{6, 8, 3}));
}

TEST(Scan, J_088_length_alone) {
  const auto [carry, ys] =
      scan([](const Tensor& c) { return std::pair(c * 2, c); }, 1.0, {.length = 5});
  EXPECT_EQ(carry.item<float>(), 32.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{1, 2, 4, 8, 16}));
}

TEST(Scan, J_088_length_zero) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + sum(x), x * 2); }, 3.0,
           zeros({0, 4}));
  EXPECT_EQ(carry.item<float>(), 3.f);
  EXPECT_EQ(ys.shape(), (Shape{0, 4}));
}

TEST(Scan, gradient_of_a_chain) {
  const auto loss = [](const Tensor& w, const Tensor& xs) {
    const auto step = [&](const Tensor& h, const Tensor& x) {
      const Tensor next = tanh(h * w + x);
      return std::pair(next, next * next);
    };
    const auto [h, ys] = scan(step, zeros({3}), xs);
    return sum(h) + sum(ys);
  };
  const auto unrolled = [](const Tensor& w, const Tensor& xs) {
    Tensor h = zeros({3}), total = Tensor(0.f);
    for (int64_t t = 0; t < xs.shape(0); ++t) {
      h = tanh(h * w + xs[t]);
      total = total + sum(h * h);
    }
    return sum(h) + total;
  };
  const Tensor w = tensor({0.3f, -0.2f, 0.9f}), xs = iota(5, 3);
  const auto a = value_and_grad<0, 1>(loss)(w, xs);
  const auto b = value_and_grad<0, 1>(unrolled)(w, xs);
  EXPECT_NEAR(a.first.item<float>(), b.first.item<float>(), 1e-5);
  EXPECT_LT(max(abs(std::get<0>(a.second) - std::get<0>(b.second))).item<float>(), 1e-5);
  EXPECT_LT(max(abs(std::get<1>(a.second) - std::get<1>(b.second))).item<float>(), 1e-5);
}

TEST(While, J_089_newton) {
  const Tensor root = while_loop([](const Tensor& x) { return abs(x * x - 2) > 1e-6; },
                                 [](const Tensor& x) { return 0.5 * (x + 2 / x); }, 1.0);
  EXPECT_NEAR(root.item<float>(), std::sqrt(2.f), 1e-6);
}

TEST(Fori, J_089_static_bounds_are_differentiable) {
  const auto f = [](const Tensor& x) {
    return fori_loop(
        0, 5, [&](const Tensor&, const Tensor& y) { return y * x; }, 1.0);
  };
  EXPECT_EQ(f(Tensor(2.f)).item<float>(), 32.f);
  EXPECT_EQ(grad(f)(Tensor(2.f)).item<float>(), 80.f);
}

TEST(Cond, J_090_one_branch) {
  const auto f = [](const Tensor& x) {
    return cond(
        x > 0, [&] { return x * x; }, [&] { return -x; });
  };
  EXPECT_EQ(f(Tensor(3.f)).item<float>(), 9.f);
  EXPECT_EQ(f(Tensor(-3.f)).item<float>(), 3.f);
  EXPECT_EQ(grad(f)(Tensor(3.f)).item<float>(), 6.f);
  EXPECT_EQ(grad(f)(Tensor(-3.f)).item<float>(), -1.f);
  EXPECT_EQ(vmap(f)(tensor({3.f, -3.f})).to_vector<float>(), (std::vector<float>{9, 3}));
  EXPECT_EQ(vmap(grad(f))(tensor({3.f, -3.f})).to_vector<float>(), (std::vector<float>{6, -1}));
}

TEST(Switch, J_090_clamped) {
  const auto f = [](const Tensor& i) {
    return switch_case(
        i,
        std::tuple([](const Tensor& x) { return x; }, [](const Tensor& x) { return x * 2; },
                   [](const Tensor& x) { return x * 3; }),
        Tensor(5.f));
  };
  EXPECT_EQ(f(Tensor(-1)).item<float>(), 5.f);
  EXPECT_EQ(f(Tensor(1)).item<float>(), 10.f);
  EXPECT_EQ(f(Tensor(7)).item<float>(), 15.f);
}

TEST(Map, J_091_map_and_associative_scan) {
  EXPECT_EQ(map_each([](const Tensor& x) { return sum(x); }, ones({3, 4})).to_vector<float>(),
            (std::vector<float>{4, 4, 4}));
  const auto total =
      associative_scan([](const Tensor& a, const Tensor& b) { return a + b; }, arange(1, 8));
  EXPECT_EQ(total.to_vector<int>(), (std::vector<int>{1, 3, 6, 10, 15, 21, 28}));
}

}  // namespace
}  // namespace linnet
