// Rows J-014 (cumulative), J-021, J-019 (ties) and J-106 (global norm) of the inventory.
#include "linnet/ops.h"

#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::reduce_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_tensor;

const double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor counting(const Shape& shape, DType dtype = DType::kF32) {
  return reshape(iota(dtype, {element_count(shape)}), shape);
}

TEST(Reduce, J_021_axes_and_keepdims) {
  const Tensor x = counting({2, 3, 2});
  expect_tensor(sum(x), {DType::kF32, {}}, {66});
  expect_tensor(sum(x, Axes{1}), {DType::kF32, {2, 2}}, {6, 9, 24, 27});
  expect_tensor(sum(x, Axes{-1, 0}), {DType::kF32, {3}}, {14, 22, 30});
  expect_tensor(sum(x, Axes{0, 2}, true), {DType::kF32, {1, 3, 1}}, {14, 22, 30});
  expect_tensor(sum(x, Axes{}), {DType::kF32, {2, 3, 2}}, x.to_vector<double>());
  expect_tensor(prod(tensor({2.f, 3.f, 4.f})), {DType::kF32, {}}, {24});
  expect_tensor(max(x, Axes{0, 1}), {DType::kF32, {2}}, {10, 11});
  expect_tensor(min(transpose(x), Axes{0}), {DType::kF32, {3, 2}}, {0, 6, 2, 8, 4, 10});
  expect_error<ShapeError>([&] { sum(x, Axes{3}); }, "sum: axis 3 is out of range");
  expect_error<ShapeError>([&] { mean(x, Axes{0, 0}); }, "given twice");
}

TEST(Reduce, J_021_integers_sum_in_32_bits_at_least) {
  expect_tensor(sum(full({300}, scalar(1, DType::kI8))), {DType::kI32, {}}, {300});
  expect_tensor(sum(full({300}, scalar(2, DType::kU8))), {DType::kU32, {}}, {600});
  expect_tensor(sum(tensor({true, true, false})), {DType::kI32, {}}, {2});
  expect_tensor(prod(tensor<int64_t>({1 << 20, 1 << 20})), {DType::kI64, {}}, {1099511627776.0});
  expect_tensor(mean(tensor({1, 2})), {DType::kF32, {}}, {1.5});
  expect_tensor(max(tensor<uint8_t>({3, 200, 5})), {DType::kU8, {}}, {200});
}

TEST(Reduce, J_021_small_floats_accumulate_in_f32) {
  const Tensor ones16 = ones({4096}, DType::kBF16);
  expect_tensor(sum(ones16), {DType::kBF16, {}}, {4096});
  const Tensor big = full({100}, scalar(60000, DType::kF16));
  expect_tensor(mean(big), {DType::kF16, {}}, {60000});
  expect_tensor(var(concatenate({big, neg(big)}) / scalar(256, DType::kF16)), {DType::kF16, {}},
                {54944}, 1e-2);
}

TEST(Reduce, J_021_empty_reductions) {
  const Tensor empty = zeros({0, 2});
  expect_tensor(sum(empty, Axes{0}), {DType::kF32, {2}}, {0, 0});
  expect_tensor(prod(empty, Axes{0}), {DType::kF32, {2}}, {1, 1});
  expect_tensor(any(empty), {DType::kBool, {}}, {0});
  expect_tensor(all(empty), {DType::kBool, {}}, {1});
  expect_tensor(mean(empty), {DType::kF32, {}}, {kNan});
  EXPECT_EQ(max(empty, Axes{1}).shape(), (Shape{0}));
  expect_error<ShapeError>([&] { max(empty, Axes{0}); },
                           "max: no elements of f32[0,2] along axes [0]");
  expect_error<ShapeError>([&] { argmin(empty, 0); }, "argmin: axis 0 of f32[0,2] has no elements");
}

TEST(Reduce, J_020_nan_propagates_through_max_and_min) {
  const Tensor x = tensor({1.f, std::nanf(""), 2.f});
  expect_tensor(max(x), {DType::kF32, {}}, {kNan});
  expect_tensor(min(x), {DType::kF32, {}}, {kNan});
  expect_tensor(any(x), {DType::kBool, {}}, {1});
}

TEST(Reduce, J_021_variance_and_deviation) {
  const Tensor x = tensor({{1.f, 2.f, 3.f, 4.f}, {2.f, 2.f, 2.f, 2.f}});
  expect_tensor(var(x, Axes{1}), {DType::kF32, {2}}, {1.25, 0}, 1e-6);
  expect_tensor(var(x, Axes{1}, true, 1), {DType::kF32, {2, 1}}, {5.0 / 3, 0}, 1e-6);
  expect_tensor(std_dev(x, Axes{-1}), {DType::kF32, {2}}, {std::sqrt(1.25), 0}, 1e-6);
  expect_tensor(var(tensor({1.f}), {}, false, 1), {DType::kF32, {}}, {kNan});
  expect_tensor(var(tensor({1, 3})), {DType::kF32, {}}, {1});
}

TEST(Reduce, J_021_arg_reductions_take_the_first) {
  const Tensor x = tensor({{1.f, 5.f, 5.f}, {0.f, -1.f, -1.f}});
  expect_tensor(argmax(x, 1), {DType::kI32, {2}}, {1, 0});
  expect_tensor(argmin(x, 1), {DType::kI32, {2}}, {0, 1});
  expect_tensor(argmax(x), {DType::kI32, {}}, {1});
  expect_tensor(argmax(x, 0, true), {DType::kI32, {1, 3}}, {0, 0, 0});
  expect_tensor(argmin(x, {}, true), {DType::kI32, {1, 1}}, {4});
  expect_tensor(argmax(tensor({1.f, std::nanf(""), 9.f})), {DType::kI32, {}}, {1});
  expect_tensor(argmax(transpose(counting({3, 4}, DType::kBF16)), -2), {DType::kI32, {3}},
                {3, 3, 3});
}

TEST(Reduce, J_014_cumulative_both_ways) {
  const Tensor x = tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
  expect_tensor(cumsum(x, 1), {DType::kF32, {2, 3}}, {1, 3, 6, 4, 9, 15});
  expect_tensor(cumsum(x, 0, true), {DType::kF32, {2, 3}}, {5, 7, 9, 4, 5, 6});
  expect_tensor(cumprod(x, -1), {DType::kF32, {2, 3}}, {1, 2, 6, 4, 20, 120});
  expect_tensor(cumprod(x, -1, true), {DType::kF32, {2, 3}}, {6, 6, 3, 120, 30, 6});
  expect_tensor(cummax(tensor({2, 1, 3, 3, 0}), 0), {DType::kI32, {5}}, {2, 2, 3, 3, 3});
  expect_tensor(cummax(tensor({2, 1, 3, 3, 0}), 0, true), {DType::kI32, {5}}, {3, 3, 3, 3, 0});
  expect_tensor(cumsum(tensor({true, true}), 0), {DType::kI32, {2}}, {1, 2});
}

TEST(Reduce, J_106_global_norm) {
  const Tensor a = tensor({3.f, 0.f}), b = tensor({{4.f}});
  expect_tensor(global_norm({a, b}), {DType::kF32, {}}, {5}, 1e-6);
  expect_tensor(sum_of_squares({full({300}, scalar(300, DType::kF16))}), {DType::kF32, {}},
                {27000000});
  expect_tensor(sum_of_squares({a, scalar(2, DType::kF64)}), {DType::kF64, {}}, {13});
  expect_tensor(sum_of_squares({}), {DType::kF32, {}}, {0});
  EXPECT_EQ(sum_of_squares(TensorList(50, a)).item<float>(), 450);
  const TensorList g = grad([](const TensorList& x) { return global_norm(x); })(TensorList{a, b});
  expect_tensor(g[0], {DType::kF32, {2}}, {0.6, 0}, 1e-6);
  expect_tensor(g[1], {DType::kF32, {1, 1}}, {0.8}, 1e-6);
}

TEST(Reduce, J_019_equal_extremes_share_the_derivative) {
  const Tensor g = grad([](const Tensor& x) { return max(x); })(tensor({1.f, 2.f, 2.f}));
  expect_tensor(g, {DType::kF32, {3}}, {0, 0.5, 0.5});
}

TEST(Reduce, J_014_equal_running_maxima_share_the_derivative) {
  const auto weighted = [](bool reverse) {
    return [=](const Tensor& x) {
      return sum(cummax(x, 0, reverse) * arange(1.0, double(x.size() + 1)));
    };
  };
  const Tensor x = tensor({1.f, 3.f, 3.f, 2.f, 3.f, 4.f});
  expect_tensor(grad(weighted(false))(x), {DType::kF32, {6}}, {1, 6.75, 4.75, 0, 2.5, 6});
  expect_tensor(grad(weighted(true))(x), {DType::kF32, {6}}, {0, 0, 0, 0, 0, 21});
  expect_tensor(grad(weighted(false))(ones({4})), {DType::kF32, {4}}, {3.75, 2.75, 2.5, 1});
  const Tensor tangent = tensor({1.f, 2.f, 4.f, 8.f, 16.f, 32.f});
  expect_tensor(jvp([](const Tensor& a) { return cummax(a, 0); },
                    tensor({1.f, 1.f, 1.f, 3.f, 3.f, 2.f}), tangent)
                    .second,
                {DType::kF32, {6}}, {1, 1.5, 2.75, 8, 12, 12});
}

TEST(Reduce, ProductsWithZerosHaveExactDerivatives) {
  const Tensor one_zero = tensor({1., 0., 3.}), two_zeros = tensor({2., 0., 0.});
  const auto product = [](const Tensor& x) { return prod(x); };
  expect_tensor(grad(product)(one_zero), {DType::kF64, {3}}, {0, 3, 0});
  expect_tensor(grad(product)(two_zeros), {DType::kF64, {3}}, {0, 0, 0});
  expect_tensor(hessian(product)(two_zeros), {DType::kF64, {3, 3}}, {0, 0, 0, 0, 0, 2, 0, 2, 0});
  const auto last = [](const Tensor& x) { return index_axis(cumprod(x, 0), 2, 0); };
  expect_tensor(grad(last)(one_zero), {DType::kF64, {3}}, {0, 3, 0});
  expect_tensor(hessian(last)(two_zeros), {DType::kF64, {3, 3}}, {0, 0, 0, 0, 0, 2, 0, 2, 0});
}

TEST(Reduce, ReductionsTransform) {
  const Tensor x = distinct({2, 3, 4});
  check_transforms([](const TensorList& a) { return sum(a[0], Axes{0, 2}); }, {x});
  check_transforms([](const TensorList& a) { return max(a[0], Axes{1}, true); }, {x});
  check_transforms([](const TensorList& a) { return min(a[0], Axes{0, 2}); }, {x});
  check_transforms(
      [](const TensorList& a) {
        return prod(a[0], Axes{0, 2});
      },
      {distinct({2, 3, 2})});
  check_transforms([](const TensorList& a) { return mean(a[0], Axes{-1}); }, {x});
  check_transforms([](const TensorList& a) { return var(a[0], Axes{0, 1}, false, 1); }, {x});
  check_transforms([](const TensorList& a) { return std_dev(a[0], Axes{1}); }, {x});
  check_transforms([](const TensorList& a) { return sum_of_squares(a); }, {x, distinct({3})});
}

TEST(Reduce, CumulativesTransform) {
  for (const bool reverse : {false, true}) {
    check_transforms([=](const TensorList& a) { return cumsum(a[0], 1, reverse); },
                     {distinct({2, 5})});
    check_transforms([=](const TensorList& a) { return cumprod(a[0], 1, reverse); },
                     {distinct({2, 5})});
    check_transforms([=](const TensorList& a) { return cummax(a[0], 0, reverse); },
                     {distinct({5, 2})});
  }
}

TEST(Reduce, BooleanAndArgReductionsBatch) {
  const testing::CheckOptions no_derivatives{.derivatives = false};
  const Tensor x = distinct({3, 4});
  check_transforms([](const TensorList& a) { return argmax(a[0], 1); }, {x}, no_derivatives);
  check_transforms([](const TensorList& a) { return argmin(a[0]); }, {x}, no_derivatives);
  check_transforms([](const TensorList& a) { return any(a[0] > 1.0, Axes{0}); }, {x},
                   no_derivatives);
  check_transforms([](const TensorList& a) { return all(a[0] > -1.0, Axes{1}); }, {x},
                   no_derivatives);
}

}  // namespace
}  // namespace linnet::reduce_test
