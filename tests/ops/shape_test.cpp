// Rows J-007 and J-008 of the inventory.
#include "linnet/ops.h"

#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::shape_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_tensor;

Tensor counting(const Shape& shape, DType dtype = DType::kF32) {
  return astype(reshape(iota(DType::kI32, {element_count(shape)}), shape), dtype);
}

TEST(Shapes, J_007_reshape_is_row_major_with_one_unknown) {
  const Tensor x = counting({2, 6});
  expect_tensor(reshape(x, {3, -1}), {DType::kF32, {3, 4}}, counting({12}).to_vector<double>());
  expect_tensor(reshape(x, {-1}), {DType::kF32, {12}}, ravel(x).to_vector<double>());
  expect_tensor(reshape(scalar(5, DType::kF64), {1, 1}), {DType::kF64, {1, 1}}, {5});
  expect_tensor(reshape(zeros({0, 3}), {3, 0}), {DType::kF32, {3, 0}}, {});
  expect_error<ShapeError>([&] { reshape(x, {5, -1}); }, "reshape: no size for -1");
  expect_error<ShapeError>([&] { reshape(x, {-1, -1}); }, "at most one -1");
  expect_error<ShapeError>([&] { reshape(x, {13}); }, "f32[2,6] has 12 elements");
}

TEST(Shapes, J_007_reshape_of_views_shares_memory_where_it_can) {
  const Tensor x = counting({4, 6});
  const Tensor rows = slice(x, {0, 0}, {4, 6}, {2, 1});
  const Tensor split_rows = reshape(rows, {2, 2, 3});
  EXPECT_EQ(split_rows.strides(), (Strides{12, 3, 1}));
  expect_tensor(split_rows, {DType::kF32, {2, 2, 3}}, {0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17});
  const Tensor turned = ravel(transpose(x));
  EXPECT_TRUE(turned.is_contiguous());
  EXPECT_EQ(turned.to_vector<float>()[1], 6);
  expect_tensor(reshape(broadcast_to(tensor({1.f, 2.f}), {2, 2}), {4}), {DType::kF32, {4}},
                {1, 2, 1, 2});
  expect_tensor(reshape(flip(counting({4}), {0}), {2, 2}), {DType::kF32, {2, 2}}, {3, 2, 1, 0});
}

TEST(Shapes, J_007_transpose_family) {
  const Tensor x = counting({2, 3});
  expect_tensor(transpose(x), {DType::kF32, {3, 2}}, {0, 3, 1, 4, 2, 5});
  expect_tensor(transpose(counting({1, 2, 3}), {2, 0, -2}), {DType::kF32, {3, 1, 2}},
                {0, 3, 1, 4, 2, 5});
  EXPECT_EQ(swapaxes(counting({2, 3, 4}), 0, -1).shape(), (Shape{4, 3, 2}));
  EXPECT_EQ(moveaxis(counting({2, 3, 4}), 0, -1).shape(), (Shape{3, 4, 2}));
  EXPECT_EQ(moveaxis(counting({2, 3, 4}), 2, 0).shape(), (Shape{4, 2, 3}));
  expect_error<ShapeError>([&] { transpose(x, {0}); }, "does not list every axis");
  expect_error<ShapeError>([&] { transpose(x, {0, 0}); }, "given twice");
  expect_error<ShapeError>([&] { swapaxes(x, 0, 2); }, "swapaxes: axis 2 is out of range");
}

TEST(Shapes, J_007_expand_and_squeeze) {
  const Tensor x = counting({1, 3, 1});
  EXPECT_EQ(expand_dims(x, {0, -1}).shape(), (Shape{1, 1, 3, 1, 1}));
  EXPECT_EQ(squeeze(x).shape(), (Shape{3}));
  EXPECT_EQ(squeeze(x, {-1}).shape(), (Shape{1, 3}));
  expect_error<ShapeError>([&] { squeeze(x, {1}); }, "squeeze: axis 1 of f32[1,3,1] has size 3");
}

TEST(Shapes, J_007_broadcast) {
  const Tensor x = tensor({1.f, 2.f});
  expect_tensor(broadcast_to(x, {2, 2}), {DType::kF32, {2, 2}}, {1, 2, 1, 2});
  expect_tensor(broadcast_in_dim(x, {2, 3}, {0}), {DType::kF32, {2, 3}}, {1, 1, 1, 2, 2, 2});
  expect_tensor(broadcast_to(scalar(7, DType::kBF16), {3}), {DType::kBF16, {3}}, {7, 7, 7});
  EXPECT_EQ(broadcast_to(counting({1, 3}), {0, 3}).size(), 0);
  EXPECT_TRUE(broadcast_to(Tensor(2), {2}).weak());
  expect_error<ShapeError>(
      [&] {
        broadcast_to(x, {2, 3});
      },
      "broadcast_to: f32[2] does not broadcast to [2,3]");
  expect_error<ShapeError>([&] { broadcast_in_dim(x, {2, 3}, {1}); }, "broadcast_in_dim: f32[2]");
}

TEST(Shapes, J_008_concatenate_and_stack_promote) {
  const Tensor y = concatenate({counting({2, 2}), counting({2, 1}, DType::kI32)}, 1);
  expect_tensor(y, {DType::kF32, {2, 3}}, {0, 1, 0, 2, 3, 1});
  expect_tensor(stack({tensor({1.f, 2.f}), tensor({3.f, 4.f})}, -1), {DType::kF32, {2, 2}},
                {1, 3, 2, 4});
  expect_tensor(concatenate({zeros({0}), counting({2})}), {DType::kF32, {2}}, {0, 1});
  TensorList many(40, tensor({1, 2}));
  EXPECT_EQ(sum(concatenate(many)).item<int>(), 120);
  expect_error<ShapeError>(
      [] {
        concatenate({zeros({2, 2}), zeros({3, 3})}, 0);
      },
      "concatenate: parts must agree but for axis 0, got f32[2,2] and f32[3,3]");
  expect_error<ShapeError>([] { concatenate({scalar(1, DType::kF32)}); }, "use stack");
  expect_error<ValueError>([] { concatenate({}); }, "at least one");
  expect_error<ShapeError>(
      [] {
        stack({zeros({2}), zeros({3})});
      },
      "stack: parts must have one shape");
}

TEST(Shapes, J_008_split_by_count_and_by_indices) {
  const Tensor x = counting({2, 6});
  const std::vector<Tensor> thirds = split(x, 3, 1);
  ASSERT_EQ(thirds.size(), 3u);
  expect_tensor(thirds[1], {DType::kF32, {2, 2}}, {2, 3, 8, 9});
  const std::vector<Tensor> parts = split(x, std::vector<int64_t>{1, 4}, -1);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[1].shape(), (Shape{2, 3}));
  expect_tensor(parts[2], {DType::kF32, {2, 2}}, {4, 5, 10, 11});
  EXPECT_EQ(split(x, std::vector<int64_t>{9}, 1)[1].shape(), (Shape{2, 0}));
  expect_error<ShapeError>([&] { split(x, 4, 1); }, "does not divide into 4");
}

TEST(Shapes, J_008_tile_repeat_flip_roll) {
  const Tensor x = tensor({1.f, 2.f, 3.f});
  expect_tensor(tile(x, {2, 2}), {DType::kF32, {2, 6}}, {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3});
  expect_tensor(tile(counting({2, 2}), {2}), {DType::kF32, {2, 4}}, {0, 1, 0, 1, 2, 3, 2, 3});
  expect_tensor(repeat(x, 2, 0), {DType::kF32, {6}}, {1, 1, 2, 2, 3, 3});
  EXPECT_EQ(repeat(x, 0, 0).size(), 0);
  expect_tensor(flip(x, {0}), {DType::kF32, {3}}, {3, 2, 1});
  expect_tensor(roll(x, 1, 0), {DType::kF32, {3}}, {3, 1, 2});
  expect_tensor(roll(x, -4, 0), {DType::kF32, {3}}, {2, 3, 1});
}

TEST(Shapes, J_008_pad_with_interior_and_negative_edges) {
  const Tensor x = tensor({1.f, 2.f, 3.f});
  expect_tensor(pad(x, {{1, 2, 0}}), {DType::kF32, {6}}, {0, 1, 2, 3, 0, 0});
  expect_tensor(pad(x, {{0, 1, 2}}, -1), {DType::kF32, {8}}, {1, -1, -1, 2, -1, -1, 3, -1});
  expect_tensor(pad(x, {{-1, 1, 0}}, 9), {DType::kF32, {3}}, {2, 3, 9});
  expect_tensor(pad(x, {{-2, -1, 1}}), {DType::kF32, {2}}, {2, 0});
  expect_tensor(pad(counting({1, 2}, DType::kBF16), {{1, 0, 0}, {0, 1, 0}}, 5),
                {DType::kBF16, {2, 3}}, {5, 5, 5, 0, 1, 5});
  expect_tensor(pad(zeros({0}, DType::kBool), {{1, 1, 3}}, true), {DType::kBool, {2}}, {1, 1});
  expect_error<ShapeError>([&] { pad(x, {{-4, 0, 0}}); }, "pad: padding (low -4");
  expect_error<ShapeError>([&] { pad(x, {}); }, "one padding entry per dimension");
}

TEST(Shapes, ViewsSurviveEveryDtype) {
  for (int d = 0; d < kRealDTypeCount; ++d) {
    const Tensor x = counting({2, 3}, static_cast<DType>(d));
    const std::vector<double> values = x.to_vector<double>();
    const Tensor turned = flip(transpose(x), {1});
    const std::vector<double> expected{values[3], values[0], values[4],
                                       values[1], values[5], values[2]};
    expect_tensor(turned, {x.dtype(), {3, 2}}, expected);
    expect_tensor(concatenate({turned, turned}), {x.dtype(), {6, 2}},
                  concatenate({turned.contiguous(), turned.contiguous()}).to_vector<double>());
  }
}

TEST(Shapes, RearrangementsTransform) {
  check_transforms(
      [](const TensorList& x) {
        return reshape(transpose(x[0], {2, 0, 1}), {4, 6});
      },
      {distinct({2, 3, 4})});
  check_transforms(
      [](const TensorList& x) {
        return broadcast_in_dim(x[0], {2, 3, 4}, {0, 2});
      },
      {distinct({2, 1})});
  check_transforms([](const TensorList& x) { return squeeze(expand_dims(x[0], 1), {1}); },
                   {distinct({2, 3})});
  check_transforms([](const TensorList& x) { return flip(x[0], {0, 2}); }, {distinct({2, 3, 2})});
  check_transforms(
      [](const TensorList& x) {
        return tile(repeat(x[0], 2, 1), {2, 1});
      },
      {distinct({2, 3})});
  check_transforms([](const TensorList& x) { return roll(x[0], 2, -1); }, {distinct({2, 5})});
}

TEST(Shapes, JoinsTransform) {
  check_transforms(
      [](const TensorList& x) {
        return concatenate({x[0], x[1], x[0]}, 1);
      },
      {distinct({2, 3}), distinct({2, 2})});
  check_transforms(
      [](const TensorList& x) {
        return stack({x[0], x[1]}, 1);
      },
      {distinct({2, 3}), distinct({2, 3})});
}

TEST(Shapes, PaddingTransforms) {
  const std::vector<PadDim> padding{{1, -1, 2}, {-1, 2, 0}};
  check_transforms([&](const TensorList& x) { return pad(x[0], padding); }, {distinct({3, 4})});
  check_transforms([&](const TensorList& x) { return pad(x[0], padding, x[1]); },
                   {distinct({3, 4}), distinct({})});
}

/// Element `at` of x, whose sizes may be 1 where `shape` is larger.
double element(const std::vector<double>& values, const Shape& sizes, const Shape& at) {
  int64_t index = 0;
  for (size_t d = 0; d < sizes.size(); ++d) index = index * sizes[d] + (sizes[d] == 1 ? 0 : at[d]);
  return values[static_cast<size_t>(index)];
}

TEST(Shapes, R_024_ranks_0_to_8_and_more_than_2_20_elements) {
  const int64_t primes[] = {3, 2, 1, 5, 2, 7, 1, 3};
  for (size_t rank = 0; rank <= 8; ++rank) {
    Shape shape, narrow, order;
    Axes odd;
    for (size_t d = 0; d < rank; ++d) {
      shape.push_back(primes[d]);
      narrow.push_back(d % 2 ? 1 : primes[d]);
      order.insert(0, static_cast<int64_t>(d));
      if (d % 2) odd.push_back(static_cast<int64_t>(d));
    }
    const Tensor x = counting(shape), y = counting(narrow);
    const std::vector<double> a = x.to_vector<double>(), b = y.to_vector<double>();
    const std::vector<double> added = (x + y * 0.5f).to_vector<double>();
    const std::vector<double> turned = transpose(x, order).to_vector<double>();
    const std::vector<double> sums = sum(x, ReductionAxes(odd), true).to_vector<double>();
    std::vector<double> wanted_sums(static_cast<size_t>(element_count(narrow)));
    Shape at(rank, 0);
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(added[i], a[i] + element(b, narrow, at) * 0.5) << rank;
      Shape back, sizes;
      for (size_t d = rank; d-- > 0;) {
        back.push_back(at[d]);
        sizes.push_back(shape[d]);
      }
      EXPECT_EQ(element(turned, sizes, back), a[i]) << rank;
      int64_t index = 0;
      for (size_t d = 0; d < rank; ++d) index = index * narrow[d] + (narrow[d] == 1 ? 0 : at[d]);
      wanted_sums[static_cast<size_t>(index)] += a[i];
      for (size_t d = rank; d-- > 0;) {
        if (++at[d] < shape[d]) break;
        at[d] = 0;
      }
    }
    EXPECT_EQ(sums, rank ? wanted_sums : a) << rank;
  }
  const Tensor large = counting({1031, 1033}, DType::kF64);
  EXPECT_EQ(sum(large).item<double>(), 1031.0 * 1033 * (1031 * 1033 - 1) / 2);
  EXPECT_EQ(sum(transpose(large) + large.reshape({1033, 1031})).item<double>(),
            1031.0 * 1033 * (1031 * 1033 - 1));
}

}  // namespace
}  // namespace linnet::shape_test
