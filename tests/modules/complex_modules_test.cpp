// Complex parameters: initialisers, layers and optimisers against JAX, Flax and optax
// (golden/complex.safetensors).
#include <gtest/gtest.h>

#include "linnet/complex.h"
#include "linnet/init.h"
#include "linnet/linen.h"
#include "linnet/optim.h"
#include "linnet/optim/optimizers.h"
#include "tests/ops/golden_file.h"

namespace linnet::complex_modules_test {
namespace {

using testing::expect_golden;
using testing::GoldenFile;

TEST(ComplexModules, J_050_initialisers_of_complex_dtypes) {
  const GoldenFile golden("complex");
  const std::pair<const char*, init::Distribution> distributions[] = {
      {"truncated_normal", init::Distribution::kTruncatedNormal},
      {"normal", init::Distribution::kNormal},
      {"uniform", init::Distribution::kUniform}};
  for (const auto& [name, distribution] : distributions) {
    const Initializer f = init::variance_scaling(2, init::FanMode::kFanIn, distribution);
    expect_golden(f(Key(5), {4, 3}, DType::kC64),
                  golden.tensor(std::string("variance_") + name + "/out/0"), 2e-6, name);
    // Variance 2 / 500 of 1,000 numbers, and numbers of the wider type.
    const Tensor many = f(Key(1), {500, 200}, DType::kC128);
    EXPECT_EQ(many.dtype(), DType::kC128);
    EXPECT_NEAR(mean(abs_squared(many)).item<double>(), 2.0 / 500, 1e-4) << name;
  }
  expect_golden(init::normal(0.5)(Key(5), {3}, DType::kC64), golden.tensor("normal_half/out/0"),
                1e-6, "normal");
  for (const Initializer& f : {init::uniform(), init::truncated_normal(), init::orthogonal()})
    EXPECT_THROW(f(Key(0), {2, 2}, DType::kC64), DTypeError);
}

/// The numbers that the reference has under this name.
Tensor wave(const Shape& shape) {
  const Tensor k = arange(element_count(shape)).astype(DType::kF64);
  return complex(2 * sin(1 + 2.3 * k), 2 * cos(2 + 1.7 * k)).reshape(shape).astype(DType::kC64);
}

TEST(ComplexModules, L_117_L_127_layers_with_complex_parameters) {
  const GoldenFile golden("complex");
  const linen::Dense dense{.features = 3, .param_dtype = DType::kC64};
  const Tensor z = wave({2, 4});
  const linen::Variables variables = linen::init_with_output(dense, Key(0), z).second;
  expect_golden(variables["params"]["kernel"].value(), golden.tensor("dense/kernel"), 1e-6,
                "kernel");
  expect_golden(variables["params"]["bias"].value(), golden.tensor("dense/bias"), 0, "bias");
  expect_golden(linen::apply(dense, variables, z), golden.tensor("dense/out/0"), 2e-6, "complex");
  expect_golden(linen::apply(dense, variables, real(z)), golden.tensor("dense/out/1"), 2e-6,
                "real");
  const linen::LayerNorm norm{.param_dtype = DType::kC64};
  const Tensor x = wave({2, 5});
  expect_golden(linen::apply(norm, linen::init_with_output(norm, Key(0), x).second, x),
                golden.tensor("layer_norm/out/0"), 4e-6, "norm");
}

struct Weights {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

Weights gradients(const Weights& p, int k) {
  const auto of = [k](const Tensor& x) {
    return static_cast<double>(k) * (x / 3) + static_cast<double>(k) * flip(x, {0});
  };
  return {of(p.a), of(p.b)};
}

TEST(ComplexModules, J_001_J_107_optimisers_of_complex_parameters) {
  const GoldenFile golden("complex");
  const std::pair<const char*, optim::GradientTransformation> optimisers[] = {
      {"sgd", optim::sgd(0.1, 0.9)},
      {"adam", optim::adam(0.1)},
      {"adamw", optim::adamw(0.1)},
      {"rmsprop", optim::rmsprop(0.1)},
      {"adabelief", optim::adabelief(0.1)},
      {"yogi", optim::yogi(0.1)},
      {"adadelta", optim::adadelta(0.1)},
      {"lion", optim::lion(0.1)},
      {"clipped", optim::chain({optim::clip_by_global_norm(1.0), optim::sgd(0.1)})}};
  for (const auto& [name, tx] : optimisers) {
    Weights params{wave({3}), real(wave({2}))};
    optim::TransformState state = tx.init(params);
    for (int k = 1; k <= 3; ++k) optim::step(tx, params, gradients(params, k), state);
    const std::string key = std::string("optimiser_") + name + "/out/";
    expect_golden(params.a, golden.tensor(key + "0"), 1e-5, name);
    expect_golden(params.b, golden.tensor(key + "1"), 1e-5, name);
  }
  // What orders numbers says so: amsgrad keeps a maximum.
  const optim::GradientTransformation tx = optim::amsgrad(0.1);
  Weights params{wave({3}), real(wave({2}))};
  optim::TransformState state = tx.init(params);
  EXPECT_THROW(optim::step(tx, params, gradients(params, 1), state), DTypeError);
}

}  // namespace
}  // namespace linnet::complex_modules_test
