// Optimisers, schedules, losses and metrics against the real optax (tests/reference/golden).
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/metrics.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "linnet/optim/schedules.h"
#include "tests/modules/optim_support.h"
#include "tests/ops/golden_file.h"

namespace linnet::optim_test {
namespace {

using testing::expect_golden;
using testing::GoldenFile;

using testing::optim_gradient;
using testing::OptimParams;

class Optimizers : public ::testing::Test {
 protected:
  OptimParams params = testing::optim_start();
  void check(const std::string& name, const optim::GradientTransformation& tx) {
    testing::check_short_trajectory(golden, name, tx);
  }
  GoldenFile golden{"optim"};
};

optim::Schedule warm() { return optim::warmup_cosine_decay_schedule(0, 0.1, 2, 5, 0.01); }

TEST_F(Optimizers, J_097_J_108_J_110_J_117_sgd) {
  check("sgd", optim::sgd(0.1));
  check("momentum", optim::sgd(0.1, 0.9));
  check("nesterov", optim::sgd(0.1, 0.9, true));
}
TEST_F(Optimizers, J_107_J_118_adam) {
  check("adam", optim::adam(0.01));
  check("adam_options", optim::adam(0.01, {.b1 = 0.8, .b2 = 0.95, .eps = 1e-6, .eps_root = 1e-8}));
  check("adam_nesterov", optim::adam(0.01, {.nesterov = true}));
}
TEST_F(Optimizers, J_119_adamw) {
  check("adamw", optim::adamw(0.01, {.weight_decay = 0.1}));
  check("adamw_schedule", optim::adamw(warm()));
}
TEST_F(Optimizers, J_099_J_111_chains_with_clipping) {
  check("clip_by_global_norm", optim::chain(optim::clip_by_global_norm(1), optim::sgd(0.1)));
  check("clip", optim::chain(optim::clip(0.5), optim::sgd(0.1)));
  check("clip_adamw",
        optim::chain(optim::clip_by_global_norm(1), optim::adamw(warm(), {.weight_decay = 0.05})));
  check("add_decayed_weights", optim::chain(optim::add_decayed_weights(0.1), optim::sgd(0.1)));
}
TEST_F(Optimizers, J_112_J_113_J_120_J_121_J_122_others) {
  check("rmsprop", optim::rmsprop(0.01));
  check("lion", optim::lion(0.01));
  check("adagrad", optim::adagrad(0.1));
}

TEST_F(Optimizers, J_106_global_norm) {
  const Tensor wanted = golden.tensor("global_norm/out");
  for (int t = 0; t < 5; ++t) {
    const OptimParams g = optim_gradient(t);
    expect_golden(global_norm({g.a, g.b}), index_axis(wanted, t, 0), 1e-6, "global_norm");
  }
}

TEST_F(Optimizers, J_098_J_105_identity_and_errors) {
  const auto nothing = optim::set_to_zero();
  optim::TransformState state = nothing.init(params);
  OptimParams same = params;
  optim::step(nothing, same, optim_gradient(0), state);
  expect_golden(same.a, params.a, 0, "set_to_zero");
  EXPECT_THROW(optim::adamw(0.1).update_list({optim_gradient(0).a}, state, {params.a, params.b}),
               TreeError);
  EXPECT_THROW(optim::step(optim::adamw(0.1), same, optim_gradient(0), state), TreeError);
  EXPECT_THROW(optim::apply_updates(TensorList{params.a}, TensorList{}), TreeError);
}

TEST(Schedules, J_128_J_129_J_130_J_131_J_132_J_133_J_134_J_135_values) {
  const GoldenFile golden("optim");
  const std::map<std::string, optim::Schedule> schedules{
      {"constant", optim::constant_schedule(0.3)},
      {"linear", optim::linear_schedule(1, 0.1, 10, 3)},
      {"polynomial", optim::polynomial_schedule(1, 0.1, 2, 10, 3)},
      {"cosine", optim::cosine_decay_schedule(1, 15, 0.1)},
      {"cosine_exponent", optim::cosine_decay_schedule(1, 15, 0.1, 2)},
      {"exponential", optim::exponential_decay(1, 5, 0.5)},
      {"exponential_staircase", optim::exponential_decay(1, 5, 0.5, 2, true, 0.2)},
      {"piecewise", optim::piecewise_constant_schedule(1, {{5, 0.5}, {12, 0.1}})},
      {"warmup_cosine", optim::warmup_cosine_decay_schedule(0.1, 1, 5, 18, 0.05)},
      {"join", optim::join_schedules({optim::linear_schedule(0, 1, 4), optim::constant_schedule(1),
                                      optim::cosine_decay_schedule(1, 6)},
                                     {4, 9})},
      {"piecewise_interpolate_linear",
       optim::piecewise_interpolate_schedule(optim::Interpolation::kLinear, 1,
                                             {{5, 0.5}, {12, 0.1}})},
      {"piecewise_interpolate_cosine",
       optim::piecewise_interpolate_schedule(optim::Interpolation::kCosine, 1,
                                             {{5, 0.5}, {12, 0.1}})},
      {"warmup_constant", optim::warmup_constant_schedule(0, 1, 5)},
      {"warmup_exponential", optim::warmup_exponential_decay_schedule(0, 1,
                                                                      {.warmup_steps = 5,
                                                                       .transition_steps = 4,
                                                                       .decay_rate = 0.5,
                                                                       .transition_begin = 2,
                                                                       .end_value = 0.2})},
      {"sgdr",
       optim::sgdr_schedule({{.warmup_steps = 2, .decay_steps = 8, .end = 0.1},
                             {.init = 0.1, .peak = 0.5, .warmup_steps = 3, .decay_steps = 9}})},
      {"cosine_onecycle", optim::cosine_onecycle_schedule(18, 1)},
      {"linear_onecycle", optim::linear_onecycle_schedule(18, 1)},
  };
  for (const auto& [name, schedule] : schedules) {
    const Tensor wanted = golden.tensor("schedule/" + name + "/out");
    const auto jitted = jit([schedule](const Tensor& step) { return schedule(step); });
    for (int64_t t = 0; t < wanted.shape(0); ++t) {
      const Tensor step = scalar_integer(t, DType::kI32);
      const std::string what = name + " step " + std::to_string(t);
      expect_golden(schedule(step), index_axis(wanted, t, 0), 2e-6, what);
      expect_golden(jitted(step), index_axis(wanted, t, 0), 2e-6, what + " jitted");
    }
  }
}

float at(const optim::Schedule& schedule, int64_t step, DType dtype = DType::kI32) {
  return schedule(scalar_integer(step, dtype)).item<float>();
}

TEST(Schedules, J_129_J_131_J_133_without_steps_or_before_their_beginning) {
  using namespace optim;
  for (int64_t step : {-3, 0, 5, 20}) {
    EXPECT_EQ(at(linear_schedule(0.3, 1, 0), step), 0.3f);
    EXPECT_EQ(at(polynomial_schedule(0.3, 1, 2, -4), step), 0.3f);
    EXPECT_EQ(at(exponential_decay(0.3, 0, 0.5), step), 0.3f);
    EXPECT_EQ(at(exponential_decay(0.3, 10, 0), step), 0.3f);
  }
  EXPECT_EQ(at(linear_schedule(1, 0, 10, -5), 0), 1);
  EXPECT_EQ(at(linear_schedule(1, 0, 10, -5), 5), 0.5f);
  EXPECT_EQ(at(exponential_decay(1, 10, 0.5, -5), 0), 1);
  EXPECT_NEAR(at(exponential_decay(1, 10, 0.5, -5), 5), std::sqrt(0.5), 1e-6);
  EXPECT_EQ(at(warmup_cosine_decay_schedule(0, 1, 0, 10), 0), 1);
  EXPECT_NEAR(at(warmup_cosine_decay_schedule(0, 1, 0, 10), 5), 0.5, 1e-6);
}

TEST(Schedules, J_128_steps_beyond_the_range_of_their_type) {
  using namespace optim;
  EXPECT_EQ(at(linear_schedule(1, 0, 3000000000), 1500000000), 0.5f);
  EXPECT_EQ(at(linear_schedule(1, 0, 10, 5), 3, DType::kU32), 1);
  EXPECT_EQ(at(linear_schedule(1, 0, 10, 3000000000), 7), 1);
  EXPECT_EQ(at(exponential_decay(1, 10, 0.5, 3000000000), 7), 1);
  EXPECT_EQ(at(piecewise_constant_schedule(1, {{3000000000, 0.5}}), 10), 1);
  EXPECT_EQ(at(piecewise_constant_schedule(1, {{3000000000, 0.5}}), 3000000000, DType::kI64), 0.5f);
  EXPECT_EQ(at(join_schedules({constant_schedule(1), constant_schedule(2)}, {3000000000}), 10), 1);
}

TEST(Schedules, errors_name_the_schedule_that_was_called) {
  using namespace optim;
  const auto text_of = [](auto&& make) -> std::string {
    try {
      make();
    } catch (const ValueError& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(
      text_of([] { warmup_cosine_decay_schedule(0, 1, 10, 10); }),
      "warmup_cosine_decay_schedule: expected more decay steps than warm-up steps, which they "
      "include, got 10 and 10");
  EXPECT_EQ(text_of([] { cosine_decay_schedule(1, 0); }),
            "cosine_decay_schedule: expected a positive number of steps, got 0");
  EXPECT_EQ(text_of([] {
              piecewise_constant_schedule(1, {{5, -1}});
            }),
            "piecewise_constant_schedule: expected scales of at least 0, got -1 at 5");
  EXPECT_EQ(text_of([] {
              piecewise_interpolate_schedule(Interpolation::kLinear, 1, {{5, -1}});
            }),
            "piecewise_interpolate_schedule: expected scales of at least 0, got -1 at 5");
  EXPECT_EQ(text_of([] { linear_onecycle_schedule(0, 1); }),
            "linear_onecycle_schedule: expected a positive number of steps, got 0");
}

/// Every optimiser by name.
std::map<std::string, optim::GradientTransformation> all_optimizers() {
  using namespace optim;
  return {{"sgd", sgd(0.1)},
          {"momentum", sgd(0.1, 0.9)},
          {"nesterov", sgd(0.1, 0.9, true)},
          {"adam", adam(0.1)},
          {"nadam", adam(0.1, {.nesterov = true})},
          {"adamw", adamw(0.1)},
          {"adamw by schedule", adamw(linear_schedule(0.1, 0, 10))},
          {"rmsprop", rmsprop(0.1)},
          {"lion", lion(0.1)},
          {"adagrad", adagrad(0.1)},
          {"clipped", chain(clip_by_global_norm(0.5), adamw(0.1))}};
}

TEST(NarrowOptimizers, J_118_zero_gradients_leave_parameters) {
  for (const auto& [name, tx] : all_optimizers()) {
    for (DType dtype : {DType::kF16, DType::kBF16}) {
      const Tensor p = ones({3}, dtype), g = zeros({3}, dtype);
      auto [updates, next] = tx.update(g, tx.init(p), p);
      const Tensor updated = optim::apply_updates(p, updates);
      EXPECT_EQ(updated.dtype(), dtype) << name;
      for (float value : updated.to_vector<float>()) EXPECT_NEAR(value, 1, 1e-3) << name;
    }
  }
}

TEST(NarrowOptimizers, updates_applied_are_what_a_step_does) {
  for (const auto& [name, tx] : all_optimizers()) {
    for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      Tensor updated = astype(random::normal(Key(3), {33}), dtype), stepped = updated;
      optim::TransformState state = tx.init(updated), step_state = state;
      for (int t = 0; t < 4; ++t) {
        const Tensor g = astype(1e-3 * random::normal(Key(10 + t), {33}), dtype);
        auto [updates, next] = tx.update(g, state, updated);
        state = next;
        updated = optim::apply_updates(updated, updates);
        optim::step(tx, stepped, g, step_state);
        EXPECT_EQ(updated.to_vector<float>(), stepped.to_vector<float>())
            << name << " in " << name_of(dtype) << ", step " << t;
        for (float value : updated.to_vector<float>()) EXPECT_TRUE(std::isfinite(value)) << name;
      }
    }
  }
}

TEST(NarrowOptimizers, small_steps_do_not_vanish_on_the_way) {
  // The gradient times the rate is below the least f16, their sum over the rate's range is not.
  const Tensor g = full({1}, 6e-5, DType::kF16), p = zeros({1}, DType::kF16);
  const auto tx = optim::sgd(1e-4);
  EXPECT_NEAR(tx.update(g, tx.init(p), p).first.item<float>(), -6e-9, 1e-11);
}

TEST(Clipping, J_111_zero_and_huge_gradients) {
  const auto clipped = [](const Tensor& g, double limit, optim::GlobalNormOptions options = {}) {
    const auto tx = optim::clip_by_global_norm(limit, options);
    return tx.update(g, tx.init(g), g).first.to_vector<float>();
  };
  const float inf = std::numeric_limits<float>::infinity();
  using Values = std::vector<float>;
  EXPECT_EQ(clipped(zeros({2}), 1), (Values{0, 0}));
  EXPECT_EQ(clipped(zeros({2}), 0), (Values{0, 0}));
  EXPECT_EQ(clipped(tensor({3.f, 4.f}), 0), (Values{0, 0}));
  EXPECT_EQ(clipped(tensor({0.3f, 0.4f}), 1), (Values{0.3f, 0.4f}));
  const Values huge = clipped(tensor({3e30f, -4e30f}), 1);
  EXPECT_NEAR(huge[0], 0.6, 1e-6);
  EXPECT_NEAR(huge[1], -0.8, 1e-6);
  const Values half = clipped(full({4}, 60000, DType::kF16), 2);
  EXPECT_NEAR(half[0], 1, 1e-3);
  for (float value : clipped(tensor({1.f, std::nanf("")}), 1)) EXPECT_TRUE(std::isnan(value));
  // A gradient of a gradient step passes through, too.
  const auto through = [&](const Tensor& g) {
    const auto tx = optim::clip_by_global_norm(1);
    return sum(tx.update(g, tx.init(g), g).first);
  };
  EXPECT_EQ(grad(through)(zeros({2})).to_vector<float>(), (Values{1, 1}));
  // The formula of optax, where it is asked for.
  const optim::GlobalNormOptions as_optax{.rescale = false};
  EXPECT_EQ(clipped(tensor({3e30f, -4e30f}), 1, as_optax), (Values{0, 0}));
  EXPECT_TRUE(std::isnan(clipped(zeros({1}), 0, as_optax)[0]));
  EXPECT_EQ(clipped(tensor({0.3f, 0.4f}), 1, as_optax), (Values{0.3f, 0.4f}));
  EXPECT_NE(optim::clip_by_global_norm(1).description,
            optim::clip_by_global_norm(1, as_optax).description);
  EXPECT_FALSE(std::isfinite(clipped(tensor({inf, 1.f}), 1)[0]));
}

TEST(Counters, J_107_R_062_stop_at_the_largest_number) {
  const Tensor p = ones({1});
  for (const auto& tx :
       {optim::adam(0.1), optim::adam(0.1, {.nesterov = true}), optim::adamw(0.1)}) {
    optim::TransformState state = tx.init(p);
    auto& count = state.parts[0].lists.at("count")[0];
    count = scalar_integer(std::numeric_limits<int32_t>::max(), DType::kI32);
    Tensor updated = p;
    optim::step(tx, updated, ones({1}), state);
    EXPECT_EQ(state.parts[0].lists.at("count")[0].item<int32_t>(),
              std::numeric_limits<int32_t>::max());
    EXPECT_TRUE(std::isfinite(updated.item<float>()));
  }
}

TEST(Metrics, accuracy_and_average_eagerly_and_jitted) {
  const Tensor logits = tensor({{0.1f, 0.9f}, {2.f, 1.f}, {0.f, 3.f}, {1.f, 0.f}});
  const Tensor labels = tensor<int32_t>({1, 1, 1, 0});
  metrics::Accuracy accuracy;
  accuracy.update(logits, labels);
  EXPECT_FLOAT_EQ(accuracy.compute().item<float>(), 0.75f);
  const auto update =
      jit([](metrics::Accuracy& m, const Tensor& x, const Tensor& y) { m.update(x, y); });
  update(accuracy, logits, labels);
  EXPECT_FLOAT_EQ(accuracy.compute().item<float>(), 0.75f);
  EXPECT_EQ(accuracy.count.value().item<int>(), 8);
  accuracy.reset();
  EXPECT_TRUE(std::isnan(accuracy.compute().item<float>()));
  EXPECT_THROW(accuracy.update(logits, tensor<int32_t>({1})), ShapeError);
}

}  // namespace
}  // namespace linnet::optim_test
