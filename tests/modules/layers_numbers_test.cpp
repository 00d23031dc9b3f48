// Layers where their numbers are easily wrong: axes in another order, narrow types, large means,
// nothing to work on, and caches that are full.
#include "linnet/jit.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_numbers_test {
namespace {

using testing::expect_golden;
using testing::expect_identical;

void expect_mean(const Tensor& mean, const std::vector<double>& expected, DType dtype) {
  EXPECT_EQ(mean.dtype(), dtype);
  testing::expect_values(mean, expected, 0, "mean in " + std::string(name_of(dtype)));
}

TEST(LayerNumbers, L_118_axes_of_DenseGeneral_are_a_set) {
  const Tensor x = random::normal(Key(0), {2, 3, 4});
  const linen::DenseGeneral sorted{.features = {5}, .axis = {1, 2}};
  const auto [y, variables] = linen::init_with_output(sorted, Key(0), x);
  EXPECT_EQ(variables["params"]["kernel"].shape(), (Shape{3, 4, 5}));
  for (const Axes& axes : {Axes{-2, -1}, Axes{-1, -2}, Axes{2, 1}, Axes{2, -2}}) {
    const linen::DenseGeneral layer{.features = {5}, .axis = axes};
    const auto [same, v] = linen::init_with_output(layer, Key(0), x);
    EXPECT_EQ(v["params"]["kernel"].shape(), (Shape{3, 4, 5})) << to_string(axes);
    expect_identical(same, y, "axes " + to_string(axes));
  }
  const linen::DenseGeneral batched{.features = {5}, .axis = {-1}, .batch_dims = {0, 1}};
  const linen::DenseGeneral turned{.features = {5}, .axis = {-1}, .batch_dims = {1, 0}};
  const auto [a, va] = linen::init_with_output(batched, Key(0), x);
  const auto [b, vb] = linen::init_with_output(turned, Key(0), x);
  EXPECT_EQ(vb["params"]["kernel"].shape(), (Shape{2, 3, 4, 5}));
  expect_identical(a, b, "batch dimensions");
}

TEST(LayerNumbers, N_118_axes_of_LinearGeneral_are_a_set) {
  const Tensor x = random::normal(Key(0), {2, 3, 4});
  nnx::Rngs a(0), b(0);
  const nnx::LinearGeneral sorted({3, 4}, {5}, {.axis = {1, 2}}, a);
  const nnx::LinearGeneral turned({3, 4}, {5}, {.axis = {-1, -2}}, b);
  expect_identical(sorted(x), turned(x), "axes");
  const nnx::LinearGeneral swapped({4, 3}, {5}, {.axis = {-1, -2}}, b);
  EXPECT_THROW(swapped(x), ShapeError) << "sizes are those of ascending axes, as in Flax";
}

TEST(LayerNumbers, L_157_means_of_narrow_types_are_summed_wide) {
  const auto both = [](double value, DType dtype) {
    return layers::avg_pool(full({1, 2, 1}, value, dtype), {2});
  };
  expect_mean(both(200, DType::kU8), {200.0}, DType::kF32);
  expect_mean(both(-100, DType::kI8), {-100.0}, DType::kF32);
  expect_mean(both(60000, DType::kF16), {60000.0}, DType::kF16);
  EXPECT_EQ(both(1, DType::kBF16).dtype(), DType::kBF16);
  EXPECT_EQ(both(1, DType::kF64).dtype(), DType::kF64);
  // 3000 elements: a count in 16 bits would be rounded to 2992 (bf16) or 3000 of 11 bits (f16).
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor x = ones({1, 3001, 1}, dtype);
    expect_mean(layers::avg_pool(x, {3001}, 1, "VALID", false), {1.0}, dtype);
    expect_mean(layers::avg_pool(x, {3001}), {1.0}, dtype);
  }
  const Tensor ramp = reshape(arange(6), {1, 6, 1});
  expect_mean(layers::avg_pool(ramp, {3}, 1, "SAME", false), {0.5, 1, 2, 3, 4, 4.5}, DType::kF32);
}

/// Rows of 1000 + {0, 0.5, 1}: in f32 the squares hold no trace of the variance's digits.
Tensor far_from_zero() { return 1000 + 0.5 * astype(reshape(arange(12) % 3, {4, 3}), DType::kF32); }

TEST(LayerNumbers, L_131_large_means_leave_layer_norm_accurate) {
  const Tensor x = far_from_zero();
  const double unit = 0.5 / std::sqrt(1.0 / 6 + 1e-6);
  nnx::Rngs rngs(0);
  for (bool fast : {true, false}) {
    const linen::LayerNorm norm{.use_fast_variance = fast};
    const Tensor y = linen::init_with_output(norm, Key(0), x).first;
    expect_golden(y[0], from_vector(std::vector<float>{float(-unit), 0, float(unit)}, {3}), 2e-6,
                  fast ? "fast" : "mean first");
    const nnx::LayerNorm object(3, {.use_fast_variance = fast}, rngs);
    expect_identical(object(x), y, "object API");
  }
}

TEST(LayerNumbers, L_129_large_means_leave_batch_norm_accurate) {
  const Tensor x = transpose(far_from_zero());  // 4 channels of 1000, 1000.5, 1001
  for (bool fast : {true, false}) {
    const linen::BatchNorm norm{.momentum = 0, .use_fast_variance = fast};
    const auto variables = linen::init(norm, Key(0), x, false);
    const auto [y, moved] = linen::apply_with({.mutate = "batch_stats"}, norm, variables, x, false);
    expect_golden(moved["batch_stats"]["var"], full({4}, 1.0 / 6, DType::kF32), 1e-6, "variance");
    const double unit = 0.5 / std::sqrt(1.0 / 6 + 1e-5);
    expect_golden(
        y,
        broadcast_to(
            expand_dims(from_vector(std::vector<float>{float(-unit), 0, float(unit)}, {3}), 1),
            {3, 4}),
        2e-6, "y");
  }
}

TEST(LayerNumbers, L_131_both_variances_are_one_operation_where_one_does_the_norm) {
  nnx::Rngs rngs(0);
  for (bool fast : {true, false}) {
    const nnx::LayerNorm norm(8, {.use_fast_variance = fast}, rngs);
    const auto graph = jit([&](const Tensor& x) { return norm(x); });
    const Tensor x = random::normal(Key(0), {3, 8});
    expect_golden(graph(x), norm(x), 1e-6, "compiled");
    // With a mask the flag chooses between the two formulas, and both are right here.
    expect_golden(norm(x, ones({3, 8}, DType::kBool)), norm(x), 2e-6, "masked");
  }
}

TEST(LayerNumbers, L_129_an_empty_batch_moves_no_running_average) {
  const Tensor x = ones({0, 3});
  const linen::BatchNorm norm;
  const auto variables = linen::init(norm, Key(0), ones({2, 3}), false);
  const auto [y, moved] = linen::apply_with({.mutate = "batch_stats"}, norm, variables, x, false);
  EXPECT_EQ(y.shape(), (Shape{0, 3}));
  expect_identical(moved["batch_stats"]["mean"], zeros({3}), "mean");
  expect_identical(moved["batch_stats"]["var"], ones({3}), "variance");
  nnx::Rngs rngs(0);
  nnx::BatchNorm object(3, rngs);
  EXPECT_EQ(object(x).shape(), (Shape{0, 3}));
  expect_identical(object.var, ones({3}), "variance of the object");
  EXPECT_EQ(object(ones({0, 3}, DType::kBF16)).dtype(), DType::kF32);
}

TEST(LayerNumbers, L_129_a_mask_that_leaves_nothing_moves_no_running_average) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm norm(2, {.momentum = 0.5}, rngs);
  const Tensor x = tensor({{1.f, 2.f}, {3.f, 4.f}});
  norm(x, false, greater(tensor({{1.f, 0.f}, {1.f, 0.f}}), 0));
  expect_identical(norm.mean, tensor({1.f, 0.f}), "the first feature moves, the second does not");
  expect_identical(norm.var, tensor({1.f, 1.f}), "variance");
}

TEST(LayerNumbers, L_120_nothing_can_be_continued) {
  nnx::Rngs rngs(0);
  for (const char* rule : {"CIRCULAR", "REFLECT"}) {
    const nnx::Conv layer(2, 3, {3}, {.padding = rule}, rngs);
    EXPECT_THROW(layer(zeros({1, 0, 2})), ValueError) << rule;
    EXPECT_EQ(layer(zeros({0, 4, 2})).shape(), (Shape{0, 4, 3})) << rule;
  }
  const nnx::ConvTranspose layer(2, 3, {3}, {.padding = "CIRCULAR"}, rngs);
  EXPECT_THROW(layer(zeros({1, 0, 2})), ValueError);
  EXPECT_EQ(layer(zeros({0, 4, 2})).shape(), (Shape{0, 4, 3}));
}

TEST(LayerNumbers, L_141_decoding_past_the_end_is_an_error) {
  const linen::SelfAttention module{.heads = 2, .decode = true};
  const Tensor x = random::normal(Key(0), {1, 2, 4});
  const auto variables = linen::init(module, Key(0), x);
  const auto step = [&](const linen::Variables& v) {
    return linen::apply_with({.mutate = "cache"}, module, v, slice_axis(x, 0, 1, 1));
  };
  auto [first, one] = step(variables);
  auto [second, two] = step(variables | one);
  EXPECT_FALSE(any(is_nan(second)).item<bool>());
  const linen::Variables full = variables | two;
  try {
    step(full);
    ADD_FAILURE() << "a third position in a cache of two";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("position 2 is past the end of a cache of length 2"),
              std::string::npos)
        << error.what();
  }
  // A compiled program cannot throw for what it computes: there it is NaN, never a wrong number.
  const auto compiled = jit([&](const linen::Variables& v) { return step(v).first; });
  EXPECT_FALSE(any(is_nan(compiled(variables | one))).item<bool>());
  EXPECT_TRUE(all(is_nan(compiled(full))).item<bool>());
}

TEST(LayerNumbers, N_134_decoding_past_the_end_changes_nothing) {
  nnx::Rngs rngs(0);
  nnx::SelfAttention layer(4, 2, {.decode = true}, rngs);
  layer.init_cache({1, 1, 4});
  const Tensor x = random::normal(Key(0), {1, 1, 4});
  layer(x);
  const Tensor keys = layer.cached_key->value();
  EXPECT_THROW(layer(2 * x), ValueError);
  expect_identical(layer.cached_key->value(), keys, "keys");
  EXPECT_EQ(layer.cache_index->value().item<int>(), 1);
}

}  // namespace
}  // namespace linnet::layers_numbers_test
