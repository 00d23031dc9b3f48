#include "linnet/vectorize.h"

#include <gtest/gtest.h>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/ops.h"

namespace linnet::vectorize_test {
namespace {

TEST(Vectorize, J_016_leading_axes_broadcast) {
  const auto product = vectorize(
      [](const Tensor& m, const Tensor& v) {
        EXPECT_EQ(m.shape(), (Shape{3, 4}));
        return matmul(m, v);
      },
      "(n,m), (m) -> (n)");
  const Tensor m = reshape(arange(60), {5, 1, 3, 4}), v = reshape(arange(8), {2, 4});
  const Tensor y = product(m, v);
  EXPECT_EQ(y.shape(), (Shape{5, 2, 3}));
  EXPECT_EQ(y[3][1].to_vector<int>(), matmul(m[3][0], v[1]).to_vector<int>());
  EXPECT_EQ(product(m[0][0], v[0]).to_vector<int>(), matmul(m[0][0], v[0]).to_vector<int>());
  const Tensor jitted = jit([&](const Tensor& a, const Tensor& b) { return product(a, b); })(m, v);
  EXPECT_EQ(jitted.to_vector<int>(), y.to_vector<int>());
  const auto total = vectorize([](const Tensor& x) { return sum(x); }, "(k)->()");
  EXPECT_EQ(total(v).to_vector<int>(), (std::vector<int>{6, 22}));
  const Tensor slope = grad([&](const Tensor& x) { return sum(square(total(x))); })(ones({2, 3}));
  EXPECT_EQ(slope.to_vector<float>(), std::vector<float>(6, 6.f));
}

TEST(Vectorize, J_016_signatures_are_checked) {
  const auto f = [](const Tensor& a, const Tensor& b) { return a + b; };
  EXPECT_THROW(vectorize(f, "(n),(n)")(ones({2}), ones({2})), ValueError);
  EXPECT_THROW(vectorize(f, "(n,),(n)->(n)")(ones({2}), ones({2})), ValueError);
  EXPECT_THROW(vectorize(f, "(n)->(n)")(ones({2}), ones({2})), ValueError);
  EXPECT_THROW(vectorize(f, "(n),(n)->(n)")(ones({2}), ones({3})), ShapeError);
  EXPECT_THROW(vectorize(f, "(n),(n)->(n)")(ones({2}), ones({})), ShapeError);
  EXPECT_THROW(vectorize(f, "(n),(n)->()")(ones({2}), ones({2})), ShapeError);
}

TEST(Vectorize, J_016_along_an_axis) {
  const Tensor x = reshape(arange(24), {2, 3, 4});
  const Tensor sums = apply_along_axis([](const Tensor& v) { return sum(v); }, 1, x);
  EXPECT_EQ(sums.to_vector<int>(), sum(x, 1).to_vector<int>());
  const Tensor doubled = apply_along_axis(
      [](const Tensor& v) {
        return concatenate({v, v});
      },
      -2, x);
  EXPECT_EQ(doubled.shape(), (Shape{2, 6, 4}));
  EXPECT_EQ(doubled.to_vector<int>(), concatenate({x, x}, 1).to_vector<int>());
  const Tensor outers = apply_along_axis([](const Tensor& v) { return outer(v, v); }, 0, x);
  EXPECT_EQ(outers.shape(), (Shape{2, 2, 3, 4}));
  EXPECT_EQ(index_axis(outers[0], 1, 0).to_vector<int>(), (x[0] * x[1]).to_vector<int>());
  EXPECT_THROW(apply_along_axis([](const Tensor& v) { return v; }, 3, x), ShapeError);
}

}  // namespace
}  // namespace linnet::vectorize_test
