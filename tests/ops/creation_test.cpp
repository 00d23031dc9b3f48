#include "elementwise_support.h"

namespace linnet::creation_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

TEST(Creation, J_006_zeros_ones_and_full) {
  expect_tensor(zeros({2, 2}), {DType::kF32, {2, 2}}, {0, 0, 0, 0});
  expect_tensor(ones({3}, DType::kBF16), {DType::kBF16, {3}}, {1, 1, 1});
  expect_tensor(ones({2}, DType::kBool), {DType::kBool, {2}}, {1, 1});
  expect_tensor(full({2}, 7, DType::kI16), {DType::kI16, {2}}, {7, 7});
  expect_tensor(full({2}, scalar(0.5, DType::kF64)), {DType::kF64, {2}}, {0.5, 0.5});
  expect_tensor(full({}, 2.5, DType::kF16), {DType::kF16, {}}, {2.5});
  EXPECT_TRUE(zeros({64, 64}).is_contiguous());
  EXPECT_EQ(zeros({0, 3}).size(), 0);
  expect_error<ShapeError>([] { full({2}, ones({2})); },
                           "full: expected a value without dimensions, got f32[2]");
  expect_error<ShapeError>([] { zeros({2, -1}); }, "negative size in shape [2,-1]");
}

TEST(Creation, J_006_like_takes_dtype_and_shape) {
  const Tensor x = full({2}, 3, DType::kI8);
  expect_tensor(zeros_like(x), {DType::kI8, {2}}, {0, 0});
  expect_tensor(ones_like(x), {DType::kI8, {2}}, {1, 1});
  expect_tensor(full_like(x, 2.9), {DType::kI8, {2}}, {2, 2});
}

TEST(Creation, J_032_iota_counts_along_one_axis) {
  expect_tensor(iota(DType::kI32, {2, 3}, 0), {DType::kI32, {2, 3}}, {0, 0, 0, 1, 1, 1});
  expect_tensor(iota(DType::kF32, {2, 3}, -1), {DType::kF32, {2, 3}}, {0, 1, 2, 0, 1, 2});
  expect_tensor(iota(DType::kU8, {2, 2, 2}, 1), {DType::kU8, {2, 2, 2}}, {0, 0, 1, 1, 0, 0, 1, 1});
  expect_tensor(iota(DType::kBF16, {4}), {DType::kBF16, {4}}, {0, 1, 2, 3});
  expect_error<ShapeError>([] { iota(DType::kI32, {2}, 1); }, "iota: axis 1 is out of range");
  expect_error<DTypeError>([] { iota(DType::kBool, {2}); }, "got bool");
}

TEST(Creation, J_006_arange_counts_with_ceil) {
  expect_tensor(arange(3), {DType::kI32, {3}}, {0, 1, 2});
  expect_tensor(arange(3, DType::kF64), {DType::kF64, {3}}, {0, 1, 2});
  expect_tensor(arange(1, 4), {DType::kI32, {3}}, {1, 2, 3});
  expect_tensor(arange(0, 1, 0.5), {DType::kF32, {2}}, {0, 0.5});
  expect_tensor(arange(5, 0, -2), {DType::kI32, {3}}, {5, 3, 1});
  expect_tensor(arange(int64_t{2}, int64_t{9}, int64_t{3}, DType::kI64), {DType::kI64, {3}},
                {2, 5, 8});
  expect_tensor(arange(0.0, 1.0, 0.25), {DType::kF32, {4}}, {0, 0.25, 0.5, 0.75});
  // ceil((1 - 0) / 0.3) = 4 values
  expect_tensor(arange(0.0, 1.0, 0.3, DType::kF64), {DType::kF64, {4}}, {0, 0.3, 0.6, 0.9}, 1e-15);
  EXPECT_EQ(arange(3.0, 1.0).size(), 0);
  EXPECT_EQ(arange(-3).size(), 0);
  expect_error<ValueError>([] { arange(0.0, 1.0, 0.0); }, "not a finite number of values");
  expect_error<ValueError>([] { arange(0, 1, 0); }, "the step must not be 0");
}

TEST(Creation, J_006_linspace_includes_both_ends) {
  expect_tensor(linspace(0, 1, 5), {DType::kF32, {5}}, {0, 0.25, 0.5, 0.75, 1});
  expect_tensor(linspace(2, 3, 1), {DType::kF32, {1}}, {2});
  const Tensor x = linspace(-0.1, 0.7, 7, DType::kF64);
  EXPECT_EQ(x.to_vector<double>().front(), -0.1);
  EXPECT_EQ(x.to_vector<double>().back(), 0.7);
  expect_tensor(linspace(0, 5, 3, DType::kI32), {DType::kI32, {3}}, {0, 2, 5});
  EXPECT_EQ(linspace(0, 1, 0).size(), 0);
}

TEST(Creation, J_006_eye_tril_triu) {
  expect_tensor(eye(2), {DType::kF32, {2, 2}}, {1, 0, 0, 1});
  expect_tensor(eye(2, 3, 1, DType::kI32), {DType::kI32, {2, 3}}, {0, 1, 0, 0, 0, 1});
  const Tensor x = reshape(arange(1, 10, 1), {3, 3});
  expect_tensor(tril(x), {DType::kI32, {3, 3}}, {1, 0, 0, 4, 5, 0, 7, 8, 9});
  expect_tensor(tril(x, -1), {DType::kI32, {3, 3}}, {0, 0, 0, 4, 0, 0, 7, 8, 0});
  expect_tensor(triu(x), {DType::kI32, {3, 3}}, {1, 2, 3, 0, 5, 6, 0, 0, 9});
  expect_tensor(triu(x, 1), {DType::kI32, {3, 3}}, {0, 2, 3, 0, 0, 6, 0, 0, 0});
  expect_tensor(tril(ones({2, 2, 2})), {DType::kF32, {2, 2, 2}}, {1, 0, 1, 1, 1, 0, 1, 1});
  expect_error<ShapeError>([] { tril(ones({3})); },
                           "tril: expected at least two dimensions, got f32[3]");
}

TEST(Creation, J_041_one_hot_is_zero_out_of_range) {
  expect_tensor(one_hot(tensor({1, 3, -1}), 3), {DType::kF32, {3, 3}}, {0, 1, 0, 0, 0, 0, 0, 0, 0});
  expect_tensor(one_hot(tensor({0, 1}), 3, DType::kI32, 0), {DType::kI32, {3, 2}},
                {1, 0, 0, 1, 0, 0});
  const Tensor narrow = one_hot(tensor({int8_t{-56}, int8_t{100}}), 300);
  EXPECT_EQ(sum(narrow).item<float>(), 1);  // class 200 is not class -56
}

TEST(Creation, constants_stay_symbolic_inside_transformations) {
  const Tensor x = tensor({1.f, 2.f});
  const Tensor g =
      testing::derivative([](const Tensor& z) { return z * full({2}, 3) + ones_like(z); }, x);
  expect_tensor(g, {DType::kF32, {2}}, {3, 3});
  const Tensor by_value =
      grad([](const Tensor& v) { return sum(full({4}, v)); })(scalar(1, DType::kF32));
  expect_tensor(by_value, {DType::kF32, {}}, {4});
}

}  // namespace
}  // namespace linnet::creation_test
