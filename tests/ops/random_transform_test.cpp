// Random numbers under transformations: the numbers never change; and dropout.
#include <functional>

#include "core/ops/random.h"
#include "core/ops/scalar_primitives.h"
#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/random_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::random_transform_test {
namespace {

using testing::expect_error;
using testing::expect_identical;
using testing::expect_values;

struct Sampler {
  const char* name;
  std::function<Tensor(const Key&)> draw;
};

std::vector<Sampler> samplers() {
  using namespace random;
  const Shape s{3, 5};
  return {
      {"bits", [=](const Key& k) { return bits(k, s, DType::kU16); }},
      {"split", [=](const Key& k) { return split(k, s).data(); }},
      {"fold_in", [=](const Key& k) { return fold_in(k, 7).data(); }},
      {"uniform", [=](const Key& k) { return uniform(k, s, DType::kF32, -2, 3); }},
      {"uniform bf16", [=](const Key& k) { return uniform(k, s, DType::kBF16); }},
      {"uniform of tensors",
       [=](const Key& k) {
         return uniform(k, s, DType::kF32, zeros({5}), full({3, 1}, 2.0));
       }},
      {"normal", [=](const Key& k) { return normal(k, s); }},
      {"normal f64", [=](const Key& k) { return normal(k, s, DType::kF64); }},
      {"truncated_normal", [=](const Key& k) { return truncated_normal(k, -1, 2, s); }},
      {"truncated_normal of tensors",
       [=](const Key& k) { return truncated_normal(k, full({5}, -1.0), 2, s); }},
      {"bernoulli", [=](const Key& k) { return bernoulli(k, 0.3, s); }},
      {"randint", [=](const Key& k) { return randint(k, s, -3, 20); }},
      {"randint i8",
       [=](const Key& k) {
         return randint(k, s, tensor({-3, 0, 1, 2, 3}), 20, DType::kI8);
       }},
      {"permutation", [=](const Key& k) { return permutation(k, 12); }},
      {"permutation of a tensor",
       [=](const Key& k) {
         return permutation(k, reshape(arange(12), {3, 4}), 1);
       }},
      {"choice", [=](const Key& k) { return choice(k, 9, s, true, full({9}, 1.0 / 9)); }},
      {"gumbel", [=](const Key& k) { return gumbel(k, s); }},
      {"categorical",
       [=](const Key& k) {
         return categorical(k, zeros({4, 6}));
       }},
      {"exponential", [=](const Key& k) { return exponential(k, s); }},
      {"laplace", [=](const Key& k) { return laplace(k, s); }},
      {"logistic", [=](const Key& k) { return logistic(k, s); }},
      {"cauchy", [=](const Key& k) { return cauchy(k, s); }},
      {"gamma", [=](const Key& k) { return gamma(k, 0.7, s); }},
      {"poisson", [=](const Key& k) { return poisson(k, 4.0, s); }},
      {"orthogonal", [=](const Key& k) { return orthogonal(k, 3, {2}, 4); }},
      {"ball", [=](const Key& k) { return ball(k, 3, 2.0, {4}); }},
      {"multivariate_normal",
       [=](const Key& k) { return multivariate_normal(k, zeros({3}), eye(3), Shape{4}); }},
  };
}

TEST(RandomKeys, J_055_mapping_over_keys_is_a_loop) {
  const Key keys = random::split(Key(31), 4);
  for (const Sampler& sampler : samplers()) {
    const Tensor mapped = vmap([&](const Key& key) { return sampler.draw(key); })(keys);
    TensorList looped;
    for (int64_t i = 0; i < 4; ++i) looped.push_back(sampler.draw(keys[i]));
    expect_identical(mapped, stack(looped), sampler.name);
  }
}

TEST(RandomKeys, J_055_compiled_numbers_are_the_same) {
  for (const Sampler& sampler : samplers()) {
    const std::function<Tensor(const Key&)> f = sampler.draw;
    const auto compiled = jit(f);
    expect_identical(compiled(Key(5)), sampler.draw(Key(5)), sampler.name);
    expect_identical(compiled(Key(6)), sampler.draw(Key(6)), sampler.name);
    EXPECT_EQ(compiled.trace_count(), 1u) << sampler.name;
  }
}

TEST(RandomKeys, J_055_shapes_without_computing) {
  for (const Sampler& sampler : samplers()) {
    const Tensor shape = eval_shape(sampler.draw, Key(5));
    EXPECT_EQ(to_string(shape.type()), to_string(sampler.draw(Key(5)).type())) << sampler.name;
  }
}

TEST(RandomKeys, J_055_arrays_of_keys_without_mapping) {
  const Key keys = random::split(Key(31), Shape{2, 2});
  for (const auto& draw : std::vector<std::function<Tensor(const Key&)>>{
           [](const Key& k) { return random::uniform(k, {3}, DType::kF32, zeros({3}), 2); },
           [](const Key& k) { return random::normal(k, {3}); },
           [](const Key& k) { return random::randint(k, {3}, 0, 7); },
           [](const Key& k) {
             return random::gamma(k, tensor({0.5f, 1.f, 2.f}), Shape{3});
           },
           [](const Key& k) {
             return random::poisson(k, tensor({0.5f, 1.f, 20.f}));
           }}) {
    expect_identical(draw(keys)[1][0], draw(keys[1][0]), "element of an array of keys");
  }
}

TEST(RandomSamplers, J_060_uniform_has_derivatives_in_its_bounds) {
  // out = unit (high - low) + low
  const Key key(9);
  const Tensor unit = random::uniform(key, {4}, DType::kF64);
  const auto draw = [&](const Tensor& low, const Tensor& high) {
    return sum(random::uniform(key, {4}, DType::kF64, low, high));
  };
  const auto [low, high] = grad<0, 1>(draw)(scalar(-1, DType::kF64), scalar(2, DType::kF64));
  EXPECT_NEAR(low.item<double>(), sum(1 - unit).item<double>(), 1e-12);
  EXPECT_NEAR(high.item<double>(), sum(unit).item<double>(), 1e-12);
  const auto bounds = [&](const TensorList& x) {
    return random::uniform(key, {2, 3}, DType::kF64, x[0], x[1]);
  };
  testing::check_transforms(bounds,
                            {testing::distinct({3}), testing::distinct({2, 1}) + Tensor(5)});
}

TEST(RandomSamplers, J_062_truncated_normal_has_derivatives_in_its_bounds) {
  const auto draw = [](const TensorList& x) {
    return random::truncated_normal(Key(9), x[0], x[1], {3}, DType::kF64);
  };
  testing::check_transforms(draw, {scalar(-0.7, DType::kF64), scalar(1.3, DType::kF64)});
}

TEST(RandomSamplers, J_067_samplers_without_derivative_say_so) {
  const auto draw = [](const Tensor& a) { return sum(random::gamma(Key(1), a)); };
  expect_error<TraceError>([&] { grad(draw)(ones({2})); }, "random_gamma");
}

TEST(Fma, RoundsOnceAndHasDerivatives) {
  const auto fma_of = [](const TensorList& x) { return emit_one(fma_primitive(), x); };
  const float a = 1 + 0x1p-12f;
  const Tensor x = full({2}, a), y = full({2}, -1.0f - 0x1p-11f);
  EXPECT_EQ(fma_of({x, x, y}).to_vector<float>()[0], 0x1p-24f);
  testing::check_transforms(
      fma_of, {testing::distinct({3}), testing::distinct({3}), testing::distinct({3})});
}

Tensor bernoulli_mask(const Key& key, const Shape& shape, double rate) {
  return random::bernoulli(key, scalar(1 - rate, DType::kF32), shape);
}

TEST(Dropout, FollowsSection6InEveryDtype) {
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    for (double rate : {0.1, 0.5, 0.9}) {
      const Tensor x = random::normal(Key(3), {70, 41}, dtype);
      const Tensor expected =
          where(bernoulli_mask(Key(4), x.shape(), rate), x / (1 - rate), scalar(0, dtype));
      expect_identical(dropout(x, Key(4).data(), rate), expected, std::string(name_of(dtype)));
    }
  }
}

TEST(Dropout, MaskOfSection11_2) {
  // Dropout(0.5) of a stream of key 1, its second key.
  const Key key = random::fold_in(Key(1), 1);
  expect_values(dropout(ones({4}), key.data(), 0.5), {2, 0, 2, 2}, 0, "second key");
}

TEST(Dropout, BroadcastMask) {
  const Tensor x = random::normal(Key(3), {6, 5, 4});
  const Tensor mask = bernoulli_mask(Key(4), {6, 1, 4}, 0.4);
  expect_identical(dropout(x, Key(4).data(), 0.4, {1}), where(mask, x / 0.6, 0.0), "axis 1");
  expect_identical(dropout(x, Key(4).data(), 0.4, {-2}), where(mask, x / 0.6, 0.0), "axis -2");
}

TEST(Dropout, LimitsAndErrors) {
  const Tensor x = full({3}, NAN), key = Key(1).data();
  expect_identical(dropout(x, key, 0), x, "rate 0");
  expect_values(dropout(x, key, 1), {0, 0, 0}, 0, "rate 1");
  expect_error<ValueError>([&] { dropout(x, key, 1.5); }, "from 0 to 1, got 1.5");
  expect_error<ShapeError>([&] { dropout(x, random::split(Key(1)).data(), 0.5); },
                           "expected one key u32[2]");
  expect_error<DTypeError>([&] { dropout(x, x, 0.5); }, "expected key data u32[..., 2]");
}

TEST(Dropout, Transformations) {
  const auto f = [](const TensorList& x) { return dropout(x[0] * x[0], Key(6).data(), 0.4); };
  testing::check_transforms(f, {testing::distinct({4, 7})});
  const auto broadcast = [](const TensorList& x) { return dropout(x[0], Key(6).data(), 0.4, {0}); };
  testing::check_transforms(broadcast, {testing::distinct({4, 7})});
}

TEST(Dropout, MappingOverKeys) {
  const Key keys = random::split(Key(2), 5);
  const Tensor x = random::normal(Key(3), {5, 8});
  const auto f = [](const Key& key, const Tensor& row) { return dropout(row, key.data(), 0.5); };
  TensorList rows;
  for (int64_t i = 0; i < 5; ++i) rows.push_back(f(keys[i], x[i]));
  expect_identical(vmap(f)(keys, x), stack(rows), "both mapped");
}

TEST(Dropout, TheGradientUsesTheMaskThatWasDrawn) {
  const Tensor x = random::normal(Key(3), {50});
  const auto loss = [](const Tensor& v, const Key& key) {
    return sum(dropout(v, key.data(), 0.25));
  };
  const Tensor expected = where(bernoulli_mask(Key(8), {50}, 0.25), full({50}, 1.0) / 0.75, 0.0);
  expect_identical(grad(loss)(x, Key(8)), expected, "eager");
  const auto step = jit([&](const Tensor& v, const Key& key) { return grad(loss)(v, key); });
  expect_identical(step(x, Key(8)), expected, "compiled");
  EXPECT_NE(step(x, Key(9)).to_vector<float>(), expected.to_vector<float>());
}

}  // namespace
}  // namespace linnet::random_transform_test
