// Optimisers and metrics as state: captured, passed and eager ones are alike, and programs tell
// different ones apart.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/metrics.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"

namespace linnet::optimizer_state_test {
namespace {

struct Lin {
  nnx::Linear a;
  explicit Lin(nnx::Rngs& rngs) : a(3, 1, rngs) {}
  LINNET_FIELDS(a)
  Tensor operator()(const Tensor& x) const { return a(x); }
};
Tensor loss_of(Lin& m, const Tensor& x) { return mean(square(m(x))); }
Tensor train(Lin& m, optim::Optimizer& o, const Tensor& x) {
  auto [loss, grads] = nnx::value_and_grad([&](Lin& n) { return loss_of(n, x); }, m);
  o.update(m, grads);
  return loss;
}

TEST(Optimizer, captured_passed_and_eager_optimisers_are_alike) {
  const Tensor x = ones({2, 3});
  const auto run = [&](auto make_step) {
    nnx::Rngs rngs(0);
    Lin m(rngs);
    optim::Optimizer o(m, optim::adam(optim::linear_schedule(0.1, 0.01, 5)));
    const auto step = make_step(m, o);
    std::vector<double> losses;
    for (int i = 0; i < 4; ++i) losses.push_back(step().template item<double>());
    EXPECT_EQ(o.step().item<int>(), 4);
    EXPECT_EQ(o.state().parts.at(0).lists.at("count").at(0).item<int>(), 4);
    EXPECT_FALSE(o.step().traced());
    for (const Tensor& leaf : tree::leaves(o)) EXPECT_FALSE(leaf.traced());
    return losses;
  };
  const auto eager =
      run([&](Lin& m, optim::Optimizer& o) { return [&] { return train(m, o, x); }; });
  const auto captured = run([&](Lin& m, optim::Optimizer& o) {
    return [&, step = jit([&](const Tensor& v) { return train(m, o, v); })] { return step(x); };
  });
  const auto passed = run([&](Lin& m, optim::Optimizer& o) {
    return [&, step = jit([](Lin& n, optim::Optimizer& p, const Tensor& v) {
                 return train(n, p, v);
               })] { return step(m, o, x); };
  });
  const auto differentiated = run([&](Lin& m, optim::Optimizer& o) {
    return [&] { return value_and_grad([&](const Tensor& v) { return train(m, o, v); })(x).first; };
  });
  for (size_t i = 0; i < eager.size(); ++i) {
    EXPECT_NEAR(captured[i], eager[i], 1e-6);
    EXPECT_NEAR(passed[i], eager[i], 1e-6);
    EXPECT_NEAR(differentiated[i], eager[i], 1e-6);
  }
  EXPECT_LT(eager[3], eager[0]);
}

TEST(Optimizer, state_is_variables_of_the_kind_OptState_and_copies_are_independent) {
  nnx::Rngs rngs(0);
  Lin m(rngs);
  optim::Optimizer o(m, optim::adam(0.1));
  const nnx::State state = nnx::state(o, nnx::of_type<nnx::OptState>());
  EXPECT_EQ(state.size(), 6u) << to_string(state);
  EXPECT_TRUE(state.contains("state/parts/0/lists/mu/0"));
  optim::Optimizer copy = o;
  train(m, copy, ones({2, 3}));
  EXPECT_EQ(o.step().item<int>(), 0);
  EXPECT_EQ(copy.step().item<int>(), 1);
  const state::CellPtr cell = state.find("state/parts/0/lists/mu/0")->cell;
  o = copy;
  EXPECT_EQ(o.step().item<int>(), 1);
  EXPECT_EQ(nnx::state(o).find("state/parts/0/lists/mu/0")->cell, cell)
      << "assigning writes into the variables";
  o.set_state(optim::adam(0.1).init(TensorList{m.a.bias->value(), m.a.kernel.value()}));
  EXPECT_EQ(o.state().parts[0].lists["count"][0].item<int>(), 0);
}

TEST(Metrics, captured_metrics_update_under_every_transformation) {
  nnx::Rngs rngs(0);
  Lin m(rngs);
  metrics::Average average;
  const auto call = jit([&](Lin& n, const Tensor& x) {
    const Tensor y = mean(n(x));
    average.update(y * 0 + 2);
    return y;
  });
  for (int i = 0; i < 3; ++i) call(m, ones({2, 3}));
  EXPECT_EQ(average.compute().item<double>(), 2);
  EXPECT_EQ(average.count.value().item<int>(), 3);
  grad([&](const Tensor& x) {
    average.update(x);
    return x;
  })(Tensor(4.0));
  EXPECT_EQ(average.compute().item<double>(), 2.5);
  EXPECT_FALSE(average.total.value().traced());
}

optim::GradientTransformation descent(double rate, std::string description = {}) {
  return {.init_list = [](const TensorList&) { return optim::TransformState{}; },
          .update_list =
              [rate](const TensorList& grads, optim::TransformState&, const TensorList&) {
                TensorList out;
                for (const Tensor& g : grads) out.push_back(g * -rate);
                return out;
              },
          .step_list = {},
          .description = std::move(description)};
}

/// {losses of the last step, traces} over optimisers made one after the other.
template <class... Make>
std::pair<std::vector<double>, size_t> run_optimisers(Make... make) {
  const auto step =
      jit([](Lin& m, optim::Optimizer& o, const Tensor& x) { return train(m, o, x); });
  std::vector<double> losses;
  const auto run = [&](auto& make_one) {
    nnx::Rngs rngs(0);
    Lin m(rngs);
    optim::Optimizer o(m, make_one());
    for (int i = 0; i < 3; ++i) step(m, o, ones({2, 3}));
    losses.push_back(loss_of(m, ones({2, 3})).template item<double>());
  };
  (run(make), ...);
  return {losses, step.trace_count()};
}

TEST(Optimizer, unknown_transformations_are_unique_and_equal_settings_share_a_program) {
  {
    const auto [losses, traces] =
        run_optimisers([] { return descent(0.1); }, [] { return descent(0.0); },
                       [] { return optim::chain(optim::identity(), descent(0.1)); },
                       [] { return optim::chain(optim::identity(), descent(0.0)); });
    EXPECT_EQ(traces, 4u);
    EXPECT_NE(losses[0], losses[1]);
    EXPECT_NE(losses[2], losses[3]);
  }
  const auto same = [](auto make) { return run_optimisers(make, make, make).second; };
  EXPECT_EQ(same([] { return descent(0.1, "descent(0.1)"); }), 1u);
  EXPECT_EQ(same([] { return optim::adam(1e-3); }), 1u);
  EXPECT_EQ(same([] { return optim::adam(optim::cosine_decay_schedule(1e-3, 100)); }), 1u);
  EXPECT_EQ(same([] {
              return optim::sgd(optim::join_schedules(
                  {optim::linear_schedule(0, 1, 4), optim::exponential_decay(1, 5, 0.5)}, {4}));
            }),
            1u);
  EXPECT_EQ(same([] {
              return optim::adamw(optim::piecewise_constant_schedule(1, {{2, 0.5}}));
            }),
            1u);
  double unknown = 0.1;
  EXPECT_EQ(same([&] {
              return optim::sgd(optim::Schedule([unknown](const Tensor&) { return unknown; }));
            }),
            3u);
}

TEST(Optimizer, schedules_of_other_settings_have_other_texts) {
  const std::vector<optim::Schedule> all{optim::constant_schedule(0.1),
                                         optim::constant_schedule(0.2),
                                         optim::linear_schedule(0, 1, 4),
                                         optim::linear_schedule(0, 1, 5),
                                         optim::linear_schedule(0, 1, 4, 1),
                                         optim::polynomial_schedule(0, 1, 2, 4),
                                         optim::cosine_decay_schedule(1, 4),
                                         optim::cosine_decay_schedule(1, 4, 0.1),
                                         optim::exponential_decay(1, 4, 0.5),
                                         optim::exponential_decay(1, 4, 0.5, 0, true),
                                         optim::exponential_decay(1, 4, 0.5, 0, true, 0.1),
                                         optim::piecewise_constant_schedule(1, {{2, 0.5}}),
                                         optim::piecewise_constant_schedule(1, {{3, 0.5}}),
                                         optim::warmup_cosine_decay_schedule(0, 1, 2, 9),
                                         optim::warmup_cosine_decay_schedule(0, 1, 3, 9),
                                         [](const Tensor&) { return Tensor(1.0); }};
  std::set<std::string> texts;
  for (const optim::Schedule& schedule : all) texts.insert(schedule.text());
  EXPECT_EQ(texts.size(), all.size());
  const optim::Schedule copy = all.back();
  EXPECT_EQ(copy.text(), all.back().text());
  EXPECT_NE(optim::adamw(0.1).description,
            optim::chain(optim::scale_by_adam(), optim::add_decayed_weights(1e-4),
                         optim::scale_by_learning_rate(0.1))
                .description)
      << "the fused step rounds differently";
}

}  // namespace
}  // namespace linnet::optimizer_state_test
