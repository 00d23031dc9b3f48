// Rows J-009 to J-013 of the inventory.
#include "linnet/ops.h"
#include "linnet/scatter.h"

#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::indexing_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_tensor;

const double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor counting(const Shape& shape, DType dtype = DType::kF32) {
  return astype(reshape(iota(DType::kI32, {element_count(shape)}), shape), dtype);
}

TEST(Indexing, J_009_slices_with_steps_and_negatives) {
  const Tensor x = counting({3, 4});
  expect_tensor(slice(x, {0, 1}, {3, 4}, {2, 2}), {DType::kF32, {2, 2}}, {1, 3, 9, 11});
  expect_tensor(slice_axis(x, -2, 3, 0), {DType::kF32, {2, 4}}, {4, 5, 6, 7, 8, 9, 10, 11});
  expect_tensor(slice_axis(x, 1, -1, 1), {DType::kF32, {3, 2}}, {1, 2, 5, 6, 9, 10});
  EXPECT_EQ(slice(x, {3, 4}, {3, 4}).shape(), (Shape{0, 0}));
  expect_tensor(x[-1], {DType::kF32, {4}}, {8, 9, 10, 11});
  expect_tensor(index_axis(x, 1, 1), {DType::kF32, {3}}, {1, 5, 9});
  expect_error<ShapeError>([&] { slice(x, {0, 2}, {3, 1}); }, "slice: start [0,2], stop [3,1]");
  expect_error<ShapeError>([&] { slice(x, {0}, {3}); }, "do not fit f32[3,4]");
  expect_error<ShapeError>([&] { slice_axis(x, 0, 9, 0); }, "does not lie within axis 0");
  expect_error<ShapeError>([&] { x[3]; }, "index 3 is out of range for axis 0");
}

TEST(Indexing, J_009_writes_out_of_range_are_dropped) {
  const Tensor x = zeros({3});
  expect_tensor(index_set(x, tensor({1, 7, -1, -4}), tensor({1.f, 2.f, 3.f, 4.f})),
                {DType::kF32, {3}}, {0, 1, 3});
  expect_tensor(index_add(x, tensor({5}), 1), {DType::kF32, {3}}, {0, 0, 0});
}

TEST(Indexing, J_010_duplicates_accumulate_for_add_and_the_last_wins_for_set) {
  const Tensor x = counting({3, 2});
  const Tensor at = tensor({1, 0, 1});
  const Tensor values = tensor({{1.f, 2.f}, {10.f, 20.f}, {3.f, 4.f}});
  expect_tensor(index_add(x, at, values), {DType::kF32, {3, 2}}, {10, 21, 6, 9, 4, 5});
  expect_tensor(index_set(x, at, values), {DType::kF32, {3, 2}}, {10, 20, 3, 4, 4, 5});
  expect_tensor(index_set(x, scalar_integer(2, DType::kI32), 9), {DType::kF32, {3, 2}},
                {0, 1, 2, 3, 9, 9});
  expect_tensor(x, {DType::kF32, {3, 2}}, {0, 1, 2, 3, 4, 5});
  expect_error<DTypeError>([&] { index_add(x, tensor({1.f}), 1); }, "indices must be integers");
}

TEST(Indexing, J_010_floats_are_added_to_integers_before_they_are_cut_off) {
  const TensorType i32{DType::kI32, {2}};
  expect_tensor(index_add(tensor({1, 2}), tensor({0}), tensor({1.5f})), i32, {2, 2});
  expect_tensor(index_add(tensor({1, 2}), tensor({0, 0}), tensor({0.6f, 0.6f})), i32, {2, 2});
  expect_tensor(index_add(tensor({1, 2}), tensor({0}), tensor({-0.5f})), i32, {0, 2});
  expect_tensor(index_set(tensor({1, 2}), tensor({0}), tensor({1.7f})), i32, {1, 2});
  expect_tensor(index_add(astype(tensor({1, 2}), DType::kU8), tensor({0}), tensor({300})),
                {DType::kU8, {2}}, {45, 2});
  expect_tensor(index_add(ones({2}, DType::kBF16), tensor({1}), tensor({2.f})), {DType::kBF16, {2}},
                {1, 3});
}

TEST(Indexing, J_011_take_fills_out_of_range) {
  const Tensor x = counting({2, 3});
  expect_tensor(take(x, tensor({1, -1, 2, -3}), 0), {DType::kF32, {4, 3}},
                {3, 4, 5, 3, 4, 5, kNan, kNan, kNan, kNan, kNan, kNan});
  expect_tensor(take(x, tensor({{2, 0}}), 1), {DType::kF32, {2, 1, 2}}, {2, 0, 5, 3});
  // Clipping does not wrap: every negative index is that of the first element.
  expect_tensor(take(x, tensor({7, -9, -1}), 1, GatherMode::kClip), {DType::kF32, {2, 3}},
                {2, 0, 0, 5, 3, 3});
  expect_tensor(take_along_axis(x, tensor({{7, -9, -1}}), 1, GatherMode::kClip),
                {DType::kF32, {2, 3}}, {2, 0, 2, 5, 3, 5});
  expect_tensor(take(counting({2}, DType::kI32), tensor({5})), {DType::kI32, {1}}, {-2147483648.0});
  expect_tensor(take(counting({2}, DType::kU8), tensor({5})), {DType::kU8, {1}}, {255});
  expect_tensor(take(counting({2}, DType::kBool), tensor({5, 0})), {DType::kBool, {2}}, {1, 0});
  expect_tensor(take(counting({2}, DType::kBF16), tensor<int8_t>({-1, 5})), {DType::kBF16, {2}},
                {1, kNan});
  expect_tensor(take(transpose(x), scalar_integer(1, DType::kU64), 0), {DType::kF32, {2}}, {1, 4});
  EXPECT_EQ(take(x, zeros({0}, DType::kI32)).shape(), (Shape{0, 3}));
}

TEST(Indexing, J_011_take_along_axis) {
  const Tensor x = counting({2, 3});
  expect_tensor(take_along_axis(x, tensor({{2, 0}, {-1, 1}}), 1), {DType::kF32, {2, 2}},
                {2, 0, 5, 4});
  expect_tensor(take_along_axis(x, tensor({{1}}), 0), {DType::kF32, {1, 3}}, {3, 4, 5});
  expect_error<ShapeError>([&] { take_along_axis(x, tensor({0}), 0); }, "must have the rank");
}

TEST(Indexing, J_012_dynamic_slice_clamps_its_starts) {
  const Tensor x = counting({3, 4});
  expect_tensor(dynamic_slice(x, {1, 1}, {2, 2}), {DType::kF32, {2, 2}}, {5, 6, 9, 10});
  expect_tensor(dynamic_slice(x, {9, 3}, {2, 2}), {DType::kF32, {2, 2}}, {6, 7, 10, 11});
  expect_tensor(dynamic_slice(x, {-1, -9}, {1, 2}), {DType::kF32, {1, 2}}, {8, 9});
  expect_tensor(dynamic_update_slice(zeros({4}), tensor({1, 2}), {3}), {DType::kF32, {4}},
                {0, 0, 1, 2});
  expect_tensor(dynamic_update_slice(x, full({1, 4}, 0.f), {scalar_integer(1, DType::kU8), 0}),
                {DType::kF32, {3, 4}}, {0, 1, 2, 3, 0, 0, 0, 0, 8, 9, 10, 11});
  expect_error<ShapeError>([&] { dynamic_slice(x, {0, 0}, {4, 1}); }, "does not fit into f32[3,4]");
  expect_error<ShapeError>([&] { dynamic_slice(x, {0}, {1, 1}); }, "one start per dimension");
  expect_error<DTypeError>(
      [&] {
        dynamic_slice(x, {0, 0.5}, {1, 1});
      },
      "zero-dimensional integers");
}

TEST(Indexing, J_013_general_gather_and_scatter) {
  const Tensor x = counting({3, 4, 2});
  GatherDims dims{{1, 2}, {0}, {0, 1}, {}, {}};
  const Tensor at = tensor({{2, 1}, {0, 3}});
  expect_tensor(gather(x, at, dims, {1, 2, 2}), {DType::kF32, {2, 2, 2}},
                {18, 19, 20, 21, kNan, kNan, kNan, kNan});
  expect_tensor(gather(x, at, dims, {1, 2, 2}, GatherMode::kClip), {DType::kF32, {2, 2, 2}},
                {18, 19, 20, 21, 4, 5, 6, 7});
  const ScatterDims back{{1, 2}, {0}, {0, 1}, {}, {}};
  const Tensor updates = counting({2, 2, 2}) + 1;
  const Tensor dropped = scatter_add(zeros({3, 4, 2}), at, updates, back);
  EXPECT_EQ(sum(dropped).item<float>(), 1 + 2 + 3 + 4);
  const Tensor clipped = scatter(zeros({3, 4, 2}), at, updates, back, ScatterMode::kClip);
  expect_tensor(slice(clipped, {0, 2, 0}, {1, 4, 2}), {DType::kF32, {1, 2, 2}}, {5, 6, 7, 8});
  expect_error<ShapeError>([&] { gather(x, at, dims, {2, 2, 2}); }, "gather: slices [2,2,2]");
  expect_error<ShapeError>([&] { gather(x, tensor({1}), dims, {1, 2, 2}); }, "must hold 2 entries");
  expect_error<ShapeError>(
      [&] {
        scatter_add(x, at, zeros({2, 9, 2}), back);
      },
      "scatter_add: updates f32[2,9,2]");
}

TEST(Indexing, J_010_J_013_products_and_extremes) {
  const Tensor x = tensor({1.f, 2.f, 3.f}), at = tensor({0, 2, 0, -1, 9}),
               values = tensor({4.f, -1.f, 5.f, 7.f, 8.f});
  expect_tensor(index_mul(x, at, values), {DType::kF32, {3}}, {20, 2, -21});
  expect_tensor(index_min(x, at, values), {DType::kF32, {3}}, {1, 2, -1});
  expect_tensor(index_max(x, at, values), {DType::kF32, {3}}, {5, 2, 7});
  expect_tensor(index_max(tensor({1, 2}), tensor({1}), tensor({5.7f})), {DType::kI32, {2}}, {1, 5});
  const ScatterDims windows{{1}, {}, {0}, {}, {}};
  expect_tensor(scatter_max(zeros({4}), tensor({{1}, {9}}), tensor({{1.f, 2.f}, {3.f, 4.f}}),
                            windows, ScatterMode::kClip),
                {DType::kF32, {4}}, {0, 1, 3, 4});
  expect_error<ShapeError>(
      [&] {
        scatter_min(x, tensor({{0}}), tensor({{1.f, 2.f, 3.f, 4.f}}), windows);
      },
      "scatter_min: updates f32[1,4]");
  // Equal numbers share the derivative, as in JAX.
  const auto [dx, du] = grad<0, 1>([&](const Tensor& a, const Tensor& u) {
    return sum(index_max(a, tensor({0, 0, 1}), u) * tensor({6.f, 1.f, 1.f}));
  })(tensor({2.f, 5.f, 1.f}), tensor({2.f, 2.f, 4.f}));
  expect_tensor(dx, {DType::kF32, {3}}, {2, 1, 1});
  expect_tensor(du, {DType::kF32, {3}}, {2, 2, 0});
  // The derivative of a product with zeros is the product of the other factors.
  const auto product = [&](const Tensor& u) {
    return sum(index_mul(tensor({2.f, 1.f}), tensor({0, 0, 1, 1}), u));
  };
  expect_tensor(grad(product)(tensor({0.f, 3.f, 0.f, 0.f})), {DType::kF32, {4}}, {6, 0, 0, 0});
  check_transforms([](const TensorList& v) { return index_mul(v[0], v[2], v[1]); },
                   {distinct({4, 2}), distinct({3, 2}), tensor({3, 0, 3})});
  check_transforms([](const TensorList& v) { return index_min(v[0], v[2], v[1]); },
                   {distinct({4, 2}), distinct({3, 2}, 0.3), tensor({3, 0, 3})});
}

TEST(Indexing, SlicesTransform) {
  check_transforms(
      [](const TensorList& x) {
        return slice(x[0], {1, 0}, {4, 5}, {1, 2});
      },
      {distinct({4, 6})});
  check_transforms([](const TensorList& x) { return index_axis(x[0], 1, 1); }, {distinct({2, 3})});
  check_transforms(
      [](const TensorList& x) {
        return dynamic_slice(x[0], {x[1], 1}, {2, 2});
      },
      {distinct({4, 3}), scalar_integer(1, DType::kI32)});
  check_transforms(
      [](const TensorList& x) {
        return dynamic_update_slice(x[0], x[1], {x[2], 1});
      },
      {distinct({4, 3}), distinct({2, 2}), scalar_integer(1, DType::kI32)});
}

TEST(Indexing, GathersTransform) {
  check_transforms([](const TensorList& x) { return take(x[0], x[1], 1); },
                   {distinct({2, 4, 3}), tensor({{3, 0}, {3, -1}})});
  check_transforms([](const TensorList& x) { return take_along_axis(x[0], x[1], 1); },
                   {distinct({2, 4}), tensor({{3, 0, 3}, {1, 2, -1}})});
  check_transforms(
      [](const TensorList& x) {
        return gather(x[0], x[1], {{1}, {0}, {0, 1}, {}, {}}, {1, 2}, GatherMode::kClip);
      },
      {distinct({3, 4}), tensor({{2, 1}, {0, 3}})});
}

TEST(Indexing, ScattersTransform) {
  check_transforms([](const TensorList& x) { return index_add(x[0], x[2], x[1]); },
                   {distinct({4, 2}), distinct({3, 2}), tensor({3, 0, 3})});
  check_transforms([](const TensorList& x) { return index_set(x[0], x[2], x[1]); },
                   {distinct({4, 2}), distinct({3, 2}), tensor({3, 0, 3})});
}

TEST(Indexing, J_011_gradient_of_rows_out_of_range_is_zero) {
  const Tensor x = counting({3}, DType::kF64);
  const Tensor at = tensor({2, 5, 2, -1});
  const Tensor g = grad([&](const Tensor& z) { return sum(take(z, at)); })(x);
  expect_tensor(g, {DType::kF64, {3}}, {0, 0, 3});
  const auto [y, t] = jvp([&](const Tensor& z) { return take(z, at); }, x, ones_like(x));
  expect_tensor(t, {DType::kF64, {4}}, {1, 0, 1, 1});
}

TEST(Indexing, EmbeddingGradientAccumulatesInOrder) {
  const Tensor table = zeros({1000, 3});
  std::vector<int32_t> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(i % 7);
  const Tensor at = from_vector(ids, {500});
  const Tensor g = grad([&](const Tensor& w) { return sum(take(w, at) * 0.1f); })(table);
  const Tensor again = grad([&](const Tensor& w) { return sum(take(w, at) * 0.1f); })(table);
  EXPECT_EQ(g.to_vector<float>(), again.to_vector<float>());
  EXPECT_NEAR(index_axis(g, 3, 0).to_vector<float>()[0], 7.1, 0.01);
}

}  // namespace
}  // namespace linnet::indexing_test
