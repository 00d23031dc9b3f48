// Functions of linnet/numpy.h: values as numpy and jax.numpy give them.
#include "linnet/numpy.h"

#include <cmath>
#include <limits>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::numpy_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_close;
using testing::expect_error;
using testing::expect_same;
using testing::expect_tensor;

const double kNan = std::numeric_limits<double>::quiet_NaN();
TensorType f32(const Shape& shape) { return {DType::kF32, shape}; }
TensorType i32(const Shape& shape) { return {DType::kI32, shape}; }

TEST(Numpy, J_006_diagonals_and_triangles) {
  expect_tensor(tri(2, 3, 1), f32({2, 3}), {1, 1, 0, 1, 1, 1});
  expect_tensor(identity(2), f32({2, 2}), {1, 0, 0, 1});
  expect_tensor(diag(tensor({1.f, 2.f}), 1), f32({3, 3}), {0, 1, 0, 0, 0, 2, 0, 0, 0});
  expect_tensor(diag(tensor({1.f, INFINITY}), -1), f32({3, 3}), {0, 0, 0, 1, 0, 0, 0, INFINITY, 0});
  const Tensor a = reshape(arange(6), {2, 3});
  expect_tensor(diag(a), i32({2}), {0, 4});
  expect_tensor(diag(a, 2), i32({1}), {2});
  expect_tensor(diag(a, -1), i32({1}), {3});
  EXPECT_EQ(diag(a, 5).shape(), (Shape{0}));
  check_transforms([](const TensorList& x) { return diag(x[0], 1) + diag(diag(x[1], -1), -1); },
                   {distinct({3}), distinct({4, 4})});
}

TEST(Numpy, J_015_grids) {
  const auto grid = meshgrid({tensor({1, 2, 3}), tensor({4, 5})});
  expect_tensor(grid[0], i32({2, 3}), {1, 2, 3, 1, 2, 3});
  expect_tensor(grid[1], i32({2, 3}), {4, 4, 4, 5, 5, 5});
  const auto matrix = meshgrid({tensor({1, 2, 3}), tensor({4, 5})}, true);
  expect_tensor(matrix[1], i32({3, 2}), {4, 5, 4, 5, 4, 5});
  const auto at = unravel_index(tensor({0, 5, 4}), {2, 3});
  expect_tensor(at[0], i32({3}), {0, 1, 1});
  expect_tensor(at[1], i32({3}), {0, 2, 1});
}

TEST(Numpy, J_007_J_008_broadcast_split_and_repeat) {
  const auto both = broadcast_arrays({ones({3, 1}), ones({2})});
  EXPECT_EQ(both[0].shape(), (Shape{3, 2}));
  EXPECT_EQ(both[1].shape(), (Shape{3, 2}));
  const auto parts = array_split(arange(7), 3);
  expect_tensor(parts[0], i32({3}), {0, 1, 2});
  expect_tensor(parts[2], i32({2}), {5, 6});
  EXPECT_EQ(array_split(arange(2), 3)[2].shape(), (Shape{0}));
  const Tensor x = tensor({10.f, 20.f, 30.f});
  expect_tensor(repeat(x, tensor({2, 0, 1}), 0, 5), f32({5}), {10, 10, 30, 30, 30});
  expect_tensor(repeat(x, tensor({2, 0, 1}), 0, 2), f32({2}), {10, 10});
  expect_error<ShapeError>([&] { repeat(x, tensor({1}), 0, 2); }, "numbers of repetitions");
}

TEST(Numpy, J_008_padding_in_all_modes) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const auto padded = [&](PadMode mode, int64_t low = 2, int64_t high = 4) {
    return pad(x, {{low, high}}, mode).to_vector<double>();
  };
  using Values = std::vector<double>;
  EXPECT_EQ(padded(PadMode::kEdge), (Values{1, 1, 1, 2, 4, 4, 4, 4, 4}));
  EXPECT_EQ(padded(PadMode::kReflect), (Values{4, 2, 1, 2, 4, 2, 1, 2, 4}));
  EXPECT_EQ(padded(PadMode::kSymmetric), (Values{2, 1, 1, 2, 4, 4, 2, 1, 1}));
  EXPECT_EQ(padded(PadMode::kWrap), (Values{2, 4, 1, 2, 4, 1, 2, 4, 1}));
  EXPECT_EQ(padded(PadMode::kMaximum, 1, 1), (Values{4, 1, 2, 4, 4}));
  EXPECT_EQ(padded(PadMode::kMinimum, 1, 1), (Values{1, 1, 2, 4, 1}));
  EXPECT_EQ(padded(PadMode::kLinearRamp, 2, 2), (Values{0, 0.5, 1, 2, 4, 2, 0}));
  expect_tensor(pad(tensor({{1, 2}, {4, 5}}), {{1, 0}, {0, 1}}, PadMode::kMean), i32({3, 3}),
                {2, 4, 3, 1, 2, 2, 4, 5, 4});
  expect_tensor(pad(tensor({7.f}), {{1, 2}}, PadMode::kReflect), f32({4}), {7, 7, 7, 7});
  expect_error<ShapeError>([&] { pad(x, {{-1, 0}}, PadMode::kEdge); }, "at least 0");
  expect_error<ShapeError>([&] { pad(zeros({0}), {{1, 0}}, PadMode::kEdge); }, "elements to fill");
  for (PadMode mode : {PadMode::kReflect, PadMode::kMean, PadMode::kLinearRamp}) {
    check_transforms(
        [mode](const TensorList& v) {
          return pad(v[0], {{1, 2}, {2, 0}}, mode);
        },
        {distinct({3, 3})});
  }
}

TEST(Numpy, J_009_slices_with_negative_steps_and_masks) {
  const Tensor x = arange(6);
  expect_tensor(slice_step(x, {}, {}, -1), i32({6}), {5, 4, 3, 2, 1, 0});
  expect_tensor(slice_step(x, 4, 0, -2), i32({2}), {4, 2});
  expect_tensor(slice_step(x, -2, {}, -3), i32({2}), {4, 1});
  expect_tensor(slice_step(x, 1, 100, 2), i32({3}), {1, 3, 5});
  expect_tensor(slice_step(x, 100, -100, -4), i32({2}), {5, 1});
  EXPECT_EQ(slice_step(x, 2, 4, -1).shape(), (Shape{0}));
  expect_tensor(slice_step(reshape(x, {2, 3}), {}, {}, -2, -1), i32({2, 2}), {2, 0, 5, 3});
  expect_error<ValueError>([&] { slice_step(x, {}, {}, 0); }, "must not be 0");
  const Tensor rows = reshape(x, {3, 2});
  expect_tensor(boolean_mask(rows, tensor({true, false, true})), i32({2, 2}), {0, 1, 4, 5});
  expect_tensor(boolean_mask(rows, rows > 2), i32({3}), {3, 4, 5});
  EXPECT_EQ(boolean_mask(rows, rows > 9).shape(), (Shape{0}));
  expect_error<TraceError>([&] { jit([](const Tensor& v) { return boolean_mask(v, v > 2); })(x); },
                           "the mask, which is traced");
  check_transforms([](const TensorList& v) { return slice_step(v[0], 3, 0, -2); },
                   {distinct({5, 2})});
}

TEST(Numpy, J_011_select_choose_and_nonzero) {
  const Tensor x = arange(6);
  expect_tensor(select({x<2, x> 3}, {x, x * x}, -1), i32({6}), {0, 1, -1, -1, 16, 25});
  expect_tensor(choose(tensor({0, 1, 5, -1}), {tensor({1, 2, 3, 4}), tensor({10, 20, 30, 40})}),
                i32({4}), {1, 20, 30, 4});
  const Tensor a = tensor({{0, 3, 0}, {5, 0, 7}});
  const auto at = nonzero(a, 4, -1);
  expect_tensor(at[0], i32({4}), {0, 1, 1, -1});
  expect_tensor(at[1], i32({4}), {1, 0, 2, -1});
  expect_tensor(nonzero(a, 2)[1], i32({2}), {1, 0});
  expect_tensor(count_nonzero(a, 1), i32({2}), {1, 2});
  const auto compiled = jit([](const Tensor& v) { return nonzero(v, 3)[1]; });
  expect_tensor(compiled(a), i32({3}), {1, 0, 2});
}

TEST(Numpy, J_014_top_k_and_unique) {
  const auto [values, indices] = top_k(tensor({{3.f, 1.f, 3.f, 2.f}, {0.f, NAN, 5.f, -1.f}}), 2);
  expect_tensor(values, f32({2, 2}), {3, 3, kNan, 5});
  expect_tensor(indices, i32({2, 2}), {0, 2, 1, 2});
  expect_tensor(top_k(tensor<int8_t>({-128, 127, 5}), 3, 0).indices, i32({3}), {1, 2, 0});
  expect_error<ValueError>([] { top_k(zeros({3}), 4); }, "from 0 to 3 elements");
  check_transforms([](const TensorList& x) { return top_k(x[0], 2, 0).values; },
                   {distinct({4, 2})});
  const Unique u = unique(tensor({4, 2, 4, 9, 2}), 4);
  expect_tensor(u.values, i32({4}), {2, 4, 9, 2});
  expect_tensor(u.indices, i32({4}), {1, 0, 3, 0});
  expect_tensor(u.inverse, i32({5}), {1, 0, 1, 2, 0});
  expect_tensor(u.counts, i32({4}), {2, 2, 1, 0});
  expect_tensor(unique(tensor({NAN, 1.f, NAN}), 3, 7).values, f32({3}), {1, kNan, 7});
  expect_tensor(unique(tensor({4, 2, 9}), 2).values, i32({2}), {2, 4});
}

TEST(Numpy, J_014_searchsorted_and_counts) {
  const Tensor sorted = tensor({1.f, 2.f, 2.f, 5.f}), values = tensor({0.f, 2.f, 3.f, 9.f, NAN});
  expect_tensor(searchsorted(sorted, values), i32({5}), {0, 1, 3, 4, 4});
  expect_tensor(searchsorted(sorted, values, true), i32({5}), {0, 3, 3, 4, 4});
  expect_tensor(searchsorted(tensor({1.f, NAN}), tensor({2.f, NAN})), i32({2}), {1, 1});
  expect_tensor(searchsorted(tensor({7}), reshape(tensor({7, 8}), {2, 1}), true), i32({2, 1}),
                {1, 1});
  expect_tensor(bincount(tensor({0, 3, 3, -1, 9}), 4), i32({4}), {2, 0, 0, 2});
  expect_tensor(bincount(tensor({0, 1, 1}), 3, tensor({0.5f, 1.f, 2.f})), f32({3}), {0.5, 3, 0});
}

TEST(Numpy, J_014_J_021_quantiles) {
  const Tensor x = tensor({{4.f, 1.f, 3.f}, {2.f, 8.f, 6.f}});
  expect_close(quantile(x, 0.25, 1), {2, 4}, 1e-6);
  expect_close(quantile(x, tensor({0.f, 0.5f, 1.f}), 0), {2, 1, 3, 3, 4.5, 4.5, 4, 8, 6}, 1e-6);
  expect_close(median(x), {3.5}, 1e-6);
  expect_close(median(tensor({3, 1, 2, 9}), 0), {2.5}, 1e-6);
  expect_tensor(median(tensor({{1.f, NAN}, {2.f, 4.f}}), 1), f32({2}), {kNan, 3});
  check_transforms([](const TensorList& v) { return quantile(v[0], 0.3, 0); }, {distinct({5, 2})});
}

TEST(Numpy, J_021_reductions_of_some_elements) {
  const Tensor x = tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
  const Tensor some = tensor({{true, false, true}, {false, false, false}});
  expect_tensor(sum(x, {.where = some}), f32({}), {4});
  expect_tensor(sum(x, {.axes = {1}, .where = some, .initial = 10}), f32({2}), {14, 10});
  expect_tensor(prod(x, {.axes = {1}, .keepdims = true, .where = some}), f32({2, 1}), {3, 1});
  expect_tensor(max(x, {.axes = {1}, .where = some, .initial = 0}), f32({2}), {3, 0});
  expect_tensor(min(x, {.axes = {0}, .where = some, .initial = 9}), f32({3}), {1, 9, 3});
  expect_tensor(max(zeros({2, 0}), {.axes = {1}, .initial = 7}), f32({2}), {7, 7});
  expect_error<ValueError>([&] { max(x, {.where = some}); }, "an initial value is needed");
  expect_tensor(mean(x, {.axes = {1}, .where = some}), f32({2}), {2, kNan});
  expect_tensor(var(x, {.axes = {1}, .where = some, .ddof = 1}), f32({2}), {2, kNan});
  expect_tensor(std_dev(x, {.where = x > 4}), f32({}), {0.5});
  expect_tensor(any(x, {.axes = {1}, .where = some}), {DType::kBool, {2}}, {1, 0});
  expect_tensor(all(x > 2, {.axes = {1}, .where = some}), {DType::kBool, {2}}, {0, 1});
  expect_tensor(sum(tensor({1, 2}), {.dtype = DType::kF64}), {DType::kF64, {}}, {3});
  EXPECT_EQ(sum(full({4096}, 1, DType::kBF16), {.dtype = DType::kF32}).item<float>(), 4096);
  const Tensor gaps = tensor({{1.f, NAN}, {NAN, NAN}});
  expect_tensor(nansum(gaps, 1), f32({2}), {1, 0});
  expect_tensor(nanmean(gaps, 1), f32({2}), {1, kNan});
  expect_tensor(nanmax(gaps, 1), f32({2}), {1, kNan});
  expect_tensor(nanmin(gaps), f32({}), {1});
  // At least one of each column: the variance of nothing is NaN.
  const Tensor mask = tensor({{true, false}, {true, true}, {false, true}});
  check_transforms([&](const TensorList& v) { return var(v[0], {.axes = {0}, .where = mask}); },
                   {distinct({3, 2})});
}

TEST(Numpy, J_017_J_023_products) {
  const auto [quotient, rest] = divmod(tensor({7, -7}), 3);
  expect_tensor(quotient, i32({2}), {2, -3});
  expect_tensor(rest, i32({2}), {1, 2});
  const Tensor a = reshape(arange(4), {2, 2});
  expect_tensor(vdot(a, a), i32({}), {14});
  expect_tensor(inner(a, a), i32({2, 2}), {1, 3, 3, 13});
  expect_tensor(inner(2, a), i32({2, 2}), {0, 2, 4, 6});
  expect_tensor(cross(tensor({1, 2, 3}), tensor({4, 5, 6})), i32({3}), {-3, 6, -3});
  expect_tensor(kron(tensor({1, 10}), tensor({{1, 2}, {3, 4}})), i32({2, 4}),
                {1, 2, 10, 20, 3, 4, 30, 40});
  expect_error<ShapeError>([] { cross(zeros({2}), zeros({2})); }, "vectors of 3 elements");
  check_transforms([](const TensorList& x) { return cross(x[0], kron(x[1], x[2])); },
                   {distinct({2, 3}), distinct({1}), distinct({3})});
}

TEST(Numpy, J_023_convolution_and_interpolation) {
  const Tensor a = tensor({1.f, 2.f, 3.f}), v = tensor({0.f, 1.f, 0.5f, 1.f});
  expect_close(convolve(a, v), {0, 1, 2.5, 5, 3.5, 3}, 1e-6);
  expect_close(convolve(a, v, ConvolveMode::kSame), {1, 2.5, 5, 3.5}, 1e-6);
  expect_close(convolve(v, a, ConvolveMode::kValid), {2.5, 5}, 1e-6);
  expect_tensor(convolve(tensor({1, 2}), tensor({3})), i32({2}), {3, 6});
  const Tensor xp = tensor({1.f, 2.f, 4.f}), fp = tensor({3.f, 5.f, 1.f});
  expect_close(interp(tensor({0.f, 1.5f, 3.f, 4.f, 9.f}), xp, fp), {3, 4, 3, 1, 1}, 1e-6);
  check_transforms([](const TensorList& x) { return convolve(x[0], x[1], ConvolveMode::kSame); },
                   {distinct({5}), distinct({3})});
}

TEST(Numpy, J_018_closeness) {
  const Tensor a = tensor({1.f, INFINITY, NAN, 1.f}), b = tensor({1.000001f, INFINITY, NAN, 1.1f});
  expect_tensor(isclose(a, b), {DType::kBool, {4}}, {1, 1, 0, 0});
  expect_tensor(isclose(a, b, 1e-5, 0.2, true), {DType::kBool, {4}}, {1, 1, 1, 1});
  EXPECT_FALSE(isclose(tensor({1.f}), tensor({INFINITY}))[0].item<bool>());
  EXPECT_TRUE(allclose(tensor({1, 2}), tensor({1.f, 2.f})).item<bool>());
  EXPECT_FALSE(allclose(a, b).item<bool>());
  EXPECT_TRUE(array_equal(arange(3), arange(3)).item<bool>());
  EXPECT_FALSE(array_equal(arange(3), arange(2)).item<bool>());
}

}  // namespace
}  // namespace linnet::numpy_test
