// Optimisers, schedules, losses and metrics against the real optax (tests/reference/golden).
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/losses.h"
#include "linnet/metrics.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "tests/ops/golden_file.h"

namespace linnet {
namespace {

using testing::expect_golden;
using testing::GoldenFile;

struct Params {
  Tensor a, b;
};

class Optimizers : public ::testing::Test {
 protected:
  Params params{random::normal(Key(0), {3, 4}), random::normal(Key(1), {4})};

  static Params gradient(int step) {
    constexpr double kScale[] = {1.0, 3.0, 0.1, 1.0, 0.0};
    const Key key(100 + step);
    return {kScale[step] * random::normal(key, {3, 4}),
            kScale[step] * random::normal(random::fold_in(key, 1), {4})};
  }

  void check(const std::string& name, const optim::GradientTransformation& tx) {
    // As updates, as whole steps, and as whole steps under jit.
    Params updated = params, stepped = params, jitted = params;
    optim::TransformState state = tx.init(params), step_state = state, jit_state = state;
    const auto jit_step = jit(
        [tx](Params& p, optim::TransformState& s, const Params& g) { optim::step(tx, p, g, s); });
    for (int t = 0; t < 5; ++t) {
      auto [updates, next] = tx.update(gradient(t), state, updated);
      state = next;
      updated = optim::apply_updates(updated, updates);
      optim::step(tx, stepped, gradient(t), step_state);
      jit_step(jitted, jit_state, gradient(t));
      for (const auto& [kind, got] :
           {std::pair{"updates", updated}, {"step", stepped}, {"jit", jitted}}) {
        const std::string what = name + " " + kind + " step " + std::to_string(t);
        const std::string key = name + "/params/" + std::to_string(t) + "/";
        expect_golden(got.a, golden.tensor(key + "a"), 5e-6, what);
        expect_golden(got.b, golden.tensor(key + "b"), 5e-6, what);
      }
    }
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
    const Params g = gradient(t);
    expect_golden(global_norm({g.a, g.b}), index_axis(wanted, t, 0), 1e-6, "global_norm");
  }
}

TEST_F(Optimizers, J_098_J_105_identity_and_errors) {
  const auto nothing = optim::set_to_zero();
  optim::TransformState state = nothing.init(params);
  Params same = params;
  optim::step(nothing, same, gradient(0), state);
  expect_golden(same.a, params.a, 0, "set_to_zero");
  EXPECT_THROW(optim::adamw(0.1).update_list({gradient(0).a}, state, {params.a, params.b}),
               TreeError);
  EXPECT_THROW(optim::step(optim::adamw(0.1), same, gradient(0), state), TreeError);
  EXPECT_THROW(optim::apply_updates(TensorList{params.a}, TensorList{}), TreeError);
}

TEST(Schedules, J_128_to_J_134_values) {
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

using Loss = std::function<Tensor(const Tensor&, const Tensor&)>;

TEST(Losses, J_137_to_J_143_values_and_gradients) {
  const GoldenFile golden("losses");
  const std::map<std::string, Loss> losses{
      {"softmax_cross_entropy", [](auto& x, auto& y) { return softmax_cross_entropy(x, y); }},
      {"integer_labels",
       [](auto& x, auto& y) { return softmax_cross_entropy_with_integer_labels(x, y); }},
      {"sigmoid_binary", loss::sigmoid_binary_cross_entropy},
      {"squared_error", loss::squared_error},
      {"l2", loss::l2_loss},
      {"huber", [](auto& x, auto& y) { return loss::huber_loss(x, y); }},
      {"huber_delta", [](auto& x, auto& y) { return loss::huber_loss(x, y, 2.5); }},
      {"log_cosh", loss::log_cosh},
      {"hinge", loss::hinge_loss},
      {"cosine_similarity", [](auto& x, auto& y) { return loss::cosine_similarity(x, y); }},
      {"cosine_distance", [](auto& x, auto& y) { return loss::cosine_distance(x, y); }},
      {"kl", loss::kl_divergence},
      {"kl_zero", loss::kl_divergence},
  };
  for (const auto& [name, f] : losses) {
    const Tensor x = golden.tensor(name + "/in/0"), y = golden.tensor(name + "/in/1");
    expect_golden(f(x, y), golden.tensor(name + "/out"), 3e-6, name);
    const Tensor g = grad([&](const Tensor& z) { return sum(f(z, y)); })(x);
    expect_golden(g, golden.tensor(name + "/grad/0"), 3e-6, name + " gradient");
  }
  const Tensor hot = golden.tensor("smooth_labels/in/0");
  expect_golden(loss::smooth_labels(hot, 0.1), golden.tensor("smooth_labels/out"), 1e-6,
                "smooth_labels");
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
}  // namespace linnet
