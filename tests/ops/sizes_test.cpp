// Sizes, strides, paddings and counts at the ends of 64 bits: a right shape or a ShapeError that
// names the operation, never a wrapped number.
#include <limits>

#include "core/tensor/checked_size.h"
#include "elementwise_support.h"
#include "linnet/jit.h"
#include "linnet/random.h"

namespace linnet::sizes_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kWord = int64_t{1} << 32;
constexpr int64_t kHalf = int64_t{1} << 62;

Tensor small() { return reshape(arange(0.0, 6.0), {2, 3}); }
Tensor one() { return ones({}); }

TEST(Sizes, checked_arithmetic_throws_instead_of_wrapping) {
  EXPECT_EQ(((CheckedSize("f", 5) - 1) * 3 + 1).value(), 13);
  for (auto step :
       {+[] { return CheckedSize("f", kMost) + 1; }, +[] { return CheckedSize("f", kLeast) - 1; },
        +[] { return CheckedSize("f", kHalf) * 2; },
        +[] { return CheckedSize("f", kLeast) * -1; }}) {
    expect_error<ShapeError>([&] { step(); }, "f: the sizes of the result do not fit 64 bits");
  }
  EXPECT_EQ(checked_element_count("f", Shape{3, 0, kWord}), 0);
  EXPECT_EQ(checked_element_count("f", Shape{kMostElements}), kMostElements);
  expect_error<ShapeError>(
      [] {
        checked_element_count("f", Shape{kWord, kWord});
      },
      "f: a tensor of shape [4294967296,4294967296] has more elements than");
  expect_error<ShapeError>([] { checked_element_count("f", Shape{0, kWord, kWord}); }, "f: ");
  expect_error<ShapeError>([] { checked_element_count("f", Shape{2, -1}); }, "negative size");
}

/// A view of one number costs no memory, so these take a second or two.
TEST(Sizes, R_025_more_elements_than_31_bits_count) {
  constexpr int64_t kMany = (int64_t{1} << 31) + 1000;
  const Tensor wide = broadcast_to(scalar(1, DType::kI8), {kMany});
  EXPECT_EQ(sum(slice(broadcast_to(one(), {2, kMany}), {0, kMany - 3}, {2, kMany})).item<float>(),
            6);
  EXPECT_EQ(sum(broadcast_to(scalar(1, DType::kF64), {kMany})).item<double>(),
            static_cast<double>(kMany));
  const Tensor last = tensor({kMany - 1, kMany, int64_t{0}});
  expect_tensor(take(wide, last, 0, GatherMode::kFill), {DType::kI8, {3}}, {1, -128, 1});
  const Tensor picked = slice(wide, {0}, {kMany}, {int64_t{1} << 30});
  EXPECT_EQ(picked.shape(), (Shape{3}));
  expect_error<ShapeError>([&] { argmax(wide, 0); }, "too long for i32 positions");
}

TEST(Sizes, R_025_positions_beyond_31_bits) {
  constexpr int64_t kMany = (int64_t{1} << 32) + 10, kLast = kMany - 1;
  const Tensor rows = broadcast_to(reshape(tensor<int8_t>({1, 2}), {2, 1}), {2, kMany});
  const auto at = [](int64_t i) { return scalar_integer(i, DType::kI64); };
  const auto expect = [](const Tensor& x, const Shape& shape, const std::vector<double>& values) {
    expect_tensor(x, {DType::kI8, shape}, values);
  };
  EXPECT_EQ(rows.size(), 2 * kMany);
  expect(dynamic_slice(rows, {at(1), at(kLast - 1)}, {1, 2}), {1, 2}, {2, 2});
  expect(dynamic_slice(rows, {at(0), at(kMany + 7)}, {2, 2}), {2, 2}, {1, 1, 2, 2});
  expect(slice(transpose(rows), {kLast, 0}, {kMany, 2}), {1, 2}, {1, 2});
  expect(slice(rows, {0, 5}, {2, kMany}, {1, int64_t{1} << 32}), {2, 2}, {1, 1, 2, 2});
  expect(take(rows, tensor({kLast, int64_t{-1}, int64_t{0}}), 1), {2, 3}, {1, 1, 1, 2, 2, 2});
  const auto last = [](const Tensor& row) { return slice(row, {kLast}, {kMany}); };
  expect(vmap(last)(rows), {2, 1}, {1, 2});
  // Shapes of what would not fit the memory.
  const auto shape_of = [&](const std::function<Tensor(const Tensor&)>& f) {
    return eval_shape(f, abstract({DType::kI8, {2, kMany}})).shape();
  };
  EXPECT_EQ(shape_of([](const Tensor& x) {
              return concatenate({x, x}, 1);
            }),
            (Shape{2, 2 * kMany}));
  EXPECT_EQ(shape_of([](const Tensor& x) { return x.reshape({-1}); }), (Shape{2 * kMany}));
  EXPECT_EQ(shape_of([](const Tensor& x) { return cumsum(x, 1); }), (Shape{2, kMany}));
}

TEST(Sizes, no_view_has_more_elements_than_can_be_counted) {
  for (const Shape& shape : {Shape{kWord, kWord}, Shape{kHalf, 4}, Shape{kHalf, 5}, Shape{kHalf}}) {
    expect_error<ShapeError>([&] { broadcast_to(one(), shape); }, "broadcast_to: ");
    expect_error<ShapeError>([&] { broadcast_in_dim(one(), shape, {}); }, "broadcast_in_dim: ");
    expect_error<ShapeError>([&] { jit([&](const Tensor& x) { return x + zeros(shape); })(one()); },
                             "more elements");
  }
  const Tensor wide = broadcast_to(one(), {kWord});
  EXPECT_EQ(wide.size(), kWord);
  expect_error<ShapeError>([&] { outer(wide, wide); }, "broadcast: ");
  expect_error<ShapeError>([&] { expand_dims(wide, 0) + expand_dims(wide, 1); }, "broadcast: ");
  expect_error<ShapeError>([&] { matmul(expand_dims(wide, 1), expand_dims(wide, 0)); },
                           "dot_general: ");
  expect_error<ShapeError>([&] { one_hot(broadcast_to(tensor({1})[0], {kWord}), kWord); },
                           "more elements");
  const Tensor longest = broadcast_to(one(), {kHalf >> 8});
  expect_error<ShapeError>([&] { stack(TensorList(1 << 10, longest)); }, "concatenate: ");
}

TEST(Sizes, J_007_reshapes_multiply_exactly) {
  expect_error<ShapeError>([] { reshape(zeros({0}), {kWord, kWord}); }, "reshape: ");
  expect_error<ShapeError>([] { reshape(small(), {kWord, kWord, -1}); }, "reshape: ");
  expect_error<ShapeError>([] { reshape(small(), {kHalf + 3, 4}); }, "reshape: ");
}

TEST(Sizes, J_008_repeats) {
  expect_error<ShapeError>([] { tile(small(), {kWord, kWord}); }, "tile: ");
  expect_error<ShapeError>([] { tile(ones({4}), {kHalf + 1}); }, "tile: ");
  expect_error<ShapeError>([] { repeat(ones({4}), kHalf, 0); }, "repeat: ");
  expect_error<ShapeError>([] { repeat(ones({8}), (kHalf >> 1) + 1, 0); }, "repeat: ");
  EXPECT_EQ(roll(small(), kLeast, 1).shape(), (Shape{2, 3}));
}

TEST(Sizes, J_009_steps_beyond_the_end_give_one_element) {
  const auto step = [](const Tensor& x) { return slice(x, {0, 0}, {2, 3}, {kMost, kMost}); };
  const Tensor x = small() + 1;
  expect_tensor(step(x), {DType::kF32, {1, 1}}, {1});
  expect_tensor(sum(step(x)), {DType::kF32, {}}, {1});
  expect_tensor(transpose(step(x)) * 2, {DType::kF32, {1, 1}}, {2});
  expect_tensor(jit(step)(x), {DType::kF32, {1, 1}}, {1});
  expect_tensor(slice(x, {1, 0}, {2, 3}, {kMost, 2}), {DType::kF32, {1, 2}}, {4, 6});
  expect_tensor(grad([&](const Tensor& v) { return sum(step(v)); })(x), {DType::kF32, {2, 3}},
                {1, 0, 0, 0, 0, 0});
}

TEST(Sizes, J_008_padding) {
  const auto padded = [](int64_t low, int64_t high, int64_t interior) {
    return pad(small(), {{low, high, interior}, {0, 0, 0}});
  };
  for (auto [low, high, interior] : {std::tuple{kMost, kMost, int64_t{0}},
                                     {kMost, kMost - 5, int64_t{0}},
                                     {kMost, kLeast + 5, int64_t{0}},
                                     {int64_t{-1}, kMost, kMost},
                                     {kMost, -kMost, int64_t{0}},
                                     {kMost, int64_t{3}, int64_t{0}},
                                     {int64_t{1}, kMost, int64_t{0}},
                                     {int64_t{0}, int64_t{2}, kHalf},
                                     {kMostElements, kMostElements, int64_t{0}}}) {
    expect_error<ShapeError>([&, l = low, h = high, i = interior] { padded(l, h, i); }, "pad: ");
    expect_error<ShapeError>(
        [&, l = low, h = high, i = interior] {
          jit([=](const Tensor& x) { return pad(x, {{l, h, i}, {0, 0, 0}}); })(small());
        },
        "pad: ");
  }
  // Cropping as much as is added.
  expect_tensor(padded(2, -2, 0), {DType::kF32, {2, 3}}, {0, 0, 0, 0, 0, 0});
}

TEST(Sizes, J_025_J_028_windows) {
  const Tensor image = ones({1, 4, 4, 1}), kernel = ones({2, 2, 1, 1});
  const auto refused = [&](const ConvOptions& options, const Tensor& w) {
    expect_error<ShapeError>([&] { conv_general_dilated(image, w, options); },
                             "conv_general_dilated: ");
  };
  refused({.padding = {{kMost, kMost}, {0, 0}}}, kernel);
  refused({.padding = {{kLeast, kLeast}, {0, 0}}}, kernel);
  refused({.padding = {{kMost, kLeast}, {0, 0}}}, kernel);
  refused({.rhs_dilation = {kMost, kMost}}, kernel);
  refused({.rhs_dilation = {kHalf, 1}}, ones({5, 2, 1, 1}));
  refused({.rhs_dilation = {kHalf >> 1, 1}}, ones({9, 2, 1, 1}));
  refused({.padding = {{0, 0}, {0, 0}}, .lhs_dilation = {kHalf, 1}}, kernel);
  // A window that fits nowhere, however far its elements are apart.
  EXPECT_EQ(conv_general_dilated(image, kernel, {.rhs_dilation = {kWord, 1}}).shape(),
            (Shape{1, 0, 3, 1}));

  const auto window = [](const Tensor& x, const WindowOptions& options) {
    expect_error<ShapeError>([&] { reduce_window(x, WindowReduction::kSum, options); },
                             "reduce_window: ");
  };
  window(small(), {.window = {2, 2}, .padding = {{kMost, kMost}, {kMost, kMost}}});
  window(small(), {.window = {2, 2}, .padding = {{kMost, kMost - 2}, {0, 0}}});
  window(ones({8}), {.window = {5}, .window_dilation = {kHalf}});
  window(ones({8}), {.window = {9}, .window_dilation = {kHalf >> 1}});
  window(ones({5}), {.window = {1}, .base_dilation = {kHalf}});
  window(ones({5}), {.window = {kMost}, .padding = {{kMost, kMost}}});
  window(ones({5}), {.window = {kMost}, .padding = {{kMost, 3}}});
  EXPECT_EQ(reduce_window(ones({5}), WindowReduction::kMax, {.window = {kMost}}).shape(),
            (Shape{0}));
}

TEST(Sizes, J_006_ranges_and_diagonals) {
  expect_error<ShapeError>([] { arange(kLeast, kMost, int64_t{1}); }, "arange: ");
  expect_error<ValueError>([] { arange(int64_t{-5}, kMost, kMost); },
                           "arange: the values from -5 to 9223372036854775802 do not fit i32");
  expect_tensor(arange(int64_t{-5}, kMost, kMost, DType::kI64), {DType::kI64, {2}},
                {-5, static_cast<double>(kMost - 5)});
  EXPECT_EQ(arange(kLeast, int64_t{0}, kMost, DType::kI64).shape(), (Shape{2}));
  expect_tensor(arange(int64_t{0}, kLeast, kLeast, DType::kI64), {DType::kI64, {1}}, {0});
  expect_tensor(arange(int64_t{5}, int64_t{-2}, int64_t{-3}), {DType::kI32, {3}}, {5, 2, -1});
  for (int64_t far : {kWord, kMost}) {
    expect_tensor(tril(ones({2, 2}), far), {DType::kF32, {2, 2}}, {1, 1, 1, 1});
    expect_tensor(triu(ones({2, 2}), far), {DType::kF32, {2, 2}}, {0, 0, 0, 0});
    expect_tensor(eye(2, 2, far), {DType::kF32, {2, 2}}, {0, 0, 0, 0});
  }
  for (int64_t far : {-kWord, kLeast}) {
    expect_tensor(tril(ones({2, 2}), far), {DType::kF32, {2, 2}}, {0, 0, 0, 0});
    expect_tensor(triu(ones({2, 2}), far), {DType::kF32, {2, 2}}, {1, 1, 1, 1});
    expect_tensor(eye(2, 2, far), {DType::kF32, {2, 2}}, {0, 0, 0, 0});
  }
}

TEST(Sizes, J_014_J_021_positions_that_i32_cannot_count) {
  const Tensor wide = broadcast_to(one(), {2, kWord});
  for (auto f : {argmax, argmin}) {
    expect_error<ShapeError>([&] { f(wide, 1, false); }, "too long for i32 positions");
    expect_error<ShapeError>([&] { f(wide, {}, false); }, "too long for i32 positions");
  }
  expect_error<ShapeError>([&] { argsort(wide, 1); }, "too long for i32 positions");
  EXPECT_EQ(
      eval_shape([&](const Tensor& x) { return argmax(x, 0); }, abstract({DType::kF32, {2, kWord}}))
          .shape(),
      (Shape{kWord}));
}

TEST(Sizes, vmap_over_fewer_than_no_entries) {
  const auto mapped =
      vmap([](const Tensor& v) { return v * 2; }, {.in_axes = {kNone}, .axis_size = -1});
  expect_error<ShapeError>([&] { mapped(small()); },
                           "vmap: axis_size must not be negative, got -1");
}

TEST(Sizes, random_numbers) {
  expect_error<ShapeError>([] { random::bits(Key(0), {kHalf, 4}, DType::kU8); }, "more ");
  expect_error<ShapeError>([] { random::split(Key(0), {kWord, kWord >> 1}); }, "more ");
}

TEST(Sizes, J_023_products_of_repeated_values_with_sizes_beyond_32_bits) {
  // Vectors of one repeated number: the long operands take no memory as views.
  const int64_t k = (int64_t{1} << 31) + 7;
  const Tensor x = broadcast_to(scalar_integer(1, DType::kU8), {1, k});
  EXPECT_EQ(eval_shape([](const Tensor& a) { return matmul(a, transpose(a)); },
                       abstract({DType::kF32, {3, k}}))
                .shape(),
            (Shape{3, 3}));
  EXPECT_EQ(sum(slice_axis(x, k - 3, k, 1)).item<uint32_t>(), 3u);
}

}  // namespace
}  // namespace linnet::sizes_test
