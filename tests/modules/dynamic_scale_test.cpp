// Dynamic loss scaling against flax.training.dynamic_scale.
#include "linnet/dynamic_scale.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet::dynamic_scale_test {
namespace {

using testing::GoldenFile;

/// The run of the golden file, eager or jitted.
void expect_run(bool compiled) {
  const GoldenFile golden("dynamic_scale");
  optim::DynamicScale scale({.growth_interval = 3});
  const auto step = [&](Tensor p) {
    auto [loss, g] = value_and_grad([&](const Tensor& q) {
      const Tensor half = astype(q, DType::kF16);
      return scale.scaled(sum(half * half));
    })(p);
    const Tensor unscaled = scale.unscaled(g);
    const Tensor finite = scale.update(unscaled);
    return std::pair(p - where(finite, 0.05 * unscaled, 0.), finite);
  };
  const auto jitted = jit(step);
  Tensor p = tensor({1.f, 0.5f});
  for (int t = 0; t < 40; ++t) {
    const auto [next, finite] = compiled ? jitted(p) : step(p);
    p = next;
    SCOPED_TRACE(t);
    const auto at = [&](const char* part) { return golden.tensor(std::string("run/") + part)[t]; };
    EXPECT_EQ(scale.factor().item<float>(), at("factor").item<float>());
    EXPECT_EQ(scale.finite_steps().item<int>(), at("finite_steps").item<int>());
    EXPECT_EQ(finite.item<bool>(), at("finite").item<int>() != 0);
    EXPECT_EQ(p.to_vector<float>(), at("parameter").to_vector<float>());
  }
}

TEST(DynamicScale, L_170_factor_and_steps_are_those_of_flax) { expect_run(false); }
TEST(DynamicScale, L_170_captured_by_a_jitted_step) { expect_run(true); }

TEST(DynamicScale, L_170_factor_has_a_floor_and_a_ceiling) {
  optim::DynamicScale low({.initial = 2, .minimum = 1});
  const TensorList infinite{tensor({1.f, INFINITY})};
  for (int t = 0; t < 4; ++t) EXPECT_FALSE(low.update(infinite).item<bool>());
  EXPECT_EQ(low.factor().item<float>(), 1);
  optim::DynamicScale high({.growth_interval = 1, .initial = 0x1p127});
  for (int t = 0; t < 4; ++t) EXPECT_TRUE(high.update(TensorList{tensor({1.f})}).item<bool>());
  EXPECT_EQ(high.factor().item<float>(), std::numeric_limits<float>::max());
}

TEST(DynamicScale, integers_and_empty_trees_are_finite) {
  EXPECT_TRUE(optim::all_finite(TensorList{}).item<bool>());
  EXPECT_TRUE(optim::all_finite(TensorList{Tensor(3), zeros({0})}).item<bool>());
  EXPECT_FALSE(optim::all_finite(TensorList{tensor({NAN})}).item<bool>());
}

TEST(DynamicScale, a_skipped_step_leaves_model_and_optimizer_as_they_were) {
  nnx::Rngs rngs(0);
  nnx::Linear model(2, 1, rngs);
  optim::Optimizer optimizer(model, optim::adam(0.1));
  optim::DynamicScale scale;
  const auto step = jit([&](nnx::Linear& m, const Tensor& x) {
    auto [loss, grads] =
        nnx::value_and_grad([&](nnx::Linear& n) { return scale.scaled(sum(n(x))); })(m);
    grads = scale.unscaled(grads);
    cond(
        scale.update(grads), [&] { optimizer.update(m, grads); }, [] {});
  });
  const auto kernel = [&] { return model.kernel.value().to_vector<float>(); };
  const auto before = kernel();
  step(model, tensor({{INFINITY, 1.f}}));
  EXPECT_EQ(kernel(), before);
  EXPECT_EQ(scale.factor().item<float>(), 32768);
  step(model, tensor({{1.f, 1.f}}));
  EXPECT_NE(kernel(), before);
}

TEST(DynamicScale, settings_are_part_of_what_a_program_is_compiled_for) {
  const auto step =
      jit([](optim::DynamicScale& scale, const Tensor& g) { return scale.update(TensorList{g}); });
  optim::DynamicScale half, tenth({.backoff_factor = 0.125});
  const Tensor infinite = tensor({INFINITY});
  step(half, infinite);
  step(tenth, infinite);
  EXPECT_EQ(half.factor().item<float>(), 32768);
  EXPECT_EQ(tenth.factor().item<float>(), 8192);
}

TEST(DynamicScale, settings_that_make_no_sense_are_refused) {
  EXPECT_THROW(optim::DynamicScale({.growth_factor = 1}), ValueError);
  EXPECT_THROW(optim::DynamicScale({.backoff_factor = 1}), ValueError);
  EXPECT_THROW(optim::DynamicScale({.growth_interval = 0}), ValueError);
}

}  // namespace
}  // namespace linnet::dynamic_scale_test
