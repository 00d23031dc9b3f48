// Transformations around others: masks, partitions, gathered gradients, settings in the state.
#include "linnet/optim/wrappers.h"

#include "linnet/error.h"
#include "linnet/nnx.h"
#include "linnet/optim/transforms.h"
#include "tests/modules/optim_support.h"
#include "tests/ops/elementwise_support.h"

namespace linnet::optim_wrappers_test {
namespace {

using optim::GradientTransformation;
using optim::TransformState;
using testing::expect_error;
using testing::expect_golden;
using testing::GoldenFile;
using testing::optim_gradient;
using testing::optim_start;
using testing::OptimParams;

using Values = std::vector<float>;

Values updates_of(const GradientTransformation& tx, const OptimParams& g, const OptimParams& p) {
  const OptimParams u = tx.update(g, tx.init(p), p).first;
  Values out = u.a.to_vector<float>();
  for (float x : u.b.to_vector<float>()) out.push_back(x);
  return out;
}

const OptimParams kOnes{ones({2}), ones({1})};

TEST(Wrappers, J_100_masks_by_list_tensor_and_path) {
  const auto half = optim::scale(0.5);
  const auto by_list = optim::masked(half, std::vector<bool>{true, false});
  const auto by_tensor = optim::masked(half, [](const Tensor& p) { return p.size() == 2; });
  const auto by_path = optim::masked(
      half, [](const tree::Path& path, const Tensor&) { return path.back().name == "a"; });
  for (const auto& tx : {by_list, by_tensor, by_path})
    EXPECT_EQ(updates_of(tx, kOnes, kOnes), (Values{0.5, 0.5, 1}));
  // The state is that of the chosen parameters alone.
  const TransformState state =
      optim::masked(optim::trace(0.9), std::vector<bool>{true, false}).init(kOnes);
  EXPECT_EQ(state.parts.at(0).lists.at("trace").size(), 1u);
  EXPECT_NE(by_list.description, optim::masked(half, std::vector<bool>{false, true}).description);
  EXPECT_THROW(optim::masked(half, std::vector<bool>{true}).init(kOnes), TreeError);
  expect_error<TreeError>(
      [&] {
        by_path.init_list({kOnes.a, kOnes.b});
      },
      "call init, update and step with trees");
}

TEST(Wrappers, J_100_masks_inside_chains_and_other_wrappers) {
  const auto is_a = [](const tree::Path& path, const Tensor&) { return path.back().name == "a"; };
  const auto inner = optim::chain(optim::masked(optim::scale(0.5), is_a), optim::scale(2));
  EXPECT_EQ(updates_of(inner, kOnes, kOnes), (Values{1, 1, 2}));
  EXPECT_EQ(
      updates_of(optim::masked(inner, [](const Tensor& p) { return p.size() == 2; }), kOnes, kOnes),
      (Values{1, 1, 1}));
  EXPECT_EQ(updates_of(optim::multi_steps(inner, 1), kOnes, kOnes), (Values{1, 1, 2}));
  EXPECT_EQ(updates_of(optim::apply_if_finite(inner, 3), kOnes, kOnes), (Values{1, 1, 2}));
  EXPECT_EQ(updates_of(optim::lookahead(inner), kOnes, kOnes), (Values{1, 1, 2}));
  const auto injected = optim::inject_hyperparams(
      [is_a](const optim::Hyperparameters& h) {
        return optim::chain(optim::add_decayed_weights(h.at("decay"), is_a),
                            optim::scale_by_learning_rate(h.at("rate")));
      },
      {{"decay", 1.0}, {"rate", -3.0}});
  EXPECT_EQ(updates_of(injected, kOnes, kOnes), (Values{6, 6, 3}));
}

TEST(Wrappers, J_100_partition_gives_each_parameter_its_transformation) {
  const auto label = [](const tree::Path& path, const Tensor&) { return path.back().name; };
  const auto tx = optim::partition({{"a", optim::sgd(0.5)}, {"b", optim::set_to_zero()}}, label);
  EXPECT_EQ(updates_of(tx, kOnes, kOnes), (Values{-0.5, -0.5, 0}));
  const TransformState state =
      optim::partition({{"a", optim::adam(0.1)}, {"b", optim::sgd(0.1)}}, label).init(kOnes);
  EXPECT_EQ(state.parts.at(0).parts.at(0).lists.at("mu").size(), 1u);
  expect_error<ValueError>(
      [&] {
        optim::partition({{"a", optim::sgd(1)}}, label).init(kOnes);
      },
      "the label 'b' of 'b' names none of the transformations a");
  EXPECT_THROW(optim::partition({{"a", optim::sgd(1)}}, std::vector<std::string>{"a"}).init(kOnes),
               TreeError);
}

struct Pair {
  Pair(nnx::Rngs& rngs) : one(2, 3, rngs), two(3, 1, rngs) {}
  Tensor operator()(const Tensor& x) const { return two(tanh(one(x))); }
  nnx::Linear one, two;
  LINNET_FIELDS(one, two)
};

TEST(Wrappers, J_100_optimisers_of_models_know_the_paths) {
  nnx::Rngs rngs(0);
  Pair model(rngs);
  const Tensor frozen = model.one.kernel.value(), bias = model.two.bias->value(),
               kernel = model.two.kernel.value();
  const auto tx = optim::partition(
      {{"frozen", optim::set_to_zero()},
       {"trained",
        optim::adamw(0.1, {.weight_decay = 0.5,
                           .mask = [](const tree::Path& path,
                                      const Tensor&) { return path.back().name != "bias"; }})}},
      [](const tree::Path& path, const Tensor&) {
        return path.front().name == "one" ? "frozen" : "trained";
      });
  optim::Optimizer optimizer(model, tx);
  const auto step = jit([](Pair& m, optim::Optimizer& o, const Tensor& x) {
    const auto grads = nnx::grad([&](Pair& q) { return sum(0 * q(x)); })(m);
    o.update(m, grads);
  });
  step(model, optimizer, ones({4, 2}));
  EXPECT_EQ(model.one.kernel.value().to_vector<float>(), frozen.to_vector<float>());
  // Without gradients only decay moves parameters.
  EXPECT_EQ(model.two.bias->value().to_vector<float>(), bias.to_vector<float>());
  expect_golden(model.two.kernel.value(), kernel * (1 - 0.1 * 0.5), 1e-6, "decayed");
}

TEST(Wrappers, J_119_fused_steps_with_masks_are_those_of_the_chain) {
  const std::vector<bool> mask{true, false};
  const auto fused = optim::adamw(0.01, {.weight_decay = 0.1, .mask = mask});
  const auto parts = optim::chain(optim::scale_by_adam(), optim::add_decayed_weights(0.1, mask),
                                  optim::scale_by_learning_rate(0.01));
  OptimParams p = optim_start(), q = p;
  TransformState s = fused.init(p), t = parts.init(q);
  for (int i = 0; i < 4; ++i) {
    optim::step(fused, p, optim_gradient(i), s);
    optim::step(parts, q, optim_gradient(i), t);
    expect_golden(p.a, q.a, 1e-6, "a");
    expect_golden(p.b, q.b, 1e-6, "b");
  }
}

TEST(Wrappers, J_102_steps_are_made_with_every_kth_gradient) {
  const auto tx = optim::multi_steps(optim::sgd(1), 2);
  Tensor p = zeros({1});
  TransformState state = tx.init(p);
  const auto made = [&] { return state.lists.at("gradient_step")[0].item<int>(); };
  optim::step(tx, p, tensor({1.f}), state);
  EXPECT_EQ(p.item<float>(), 0);
  EXPECT_EQ(made(), 0);
  optim::step(tx, p, tensor({4.f}), state);
  EXPECT_EQ(p.item<float>(), -2.5);
  EXPECT_EQ(made(), 1);
  const auto summed = optim::multi_steps(optim::sgd(1), 2, {.mean = false});
  state = summed.init(p);
  p = zeros({1});
  for (float g : {1.f, 4.f}) optim::step(summed, p, tensor({g}), state);
  EXPECT_EQ(p.item<float>(), -5);
}

TEST(Wrappers, J_103_gathering_skips_gradients_that_are_not_finite) {
  const auto tx = optim::multi_steps(optim::sgd(1), 2, {.should_skip = optim::skip_not_finite});
  Tensor p = zeros({1});
  TransformState state = tx.init(p);
  const auto step =
      jit([tx](Tensor& q, TransformState& s, const Tensor& g) { optim::step(tx, q, g, s); });
  for (float g : {1.f, NAN, INFINITY, 4.f}) step(p, state, tensor({g}));
  EXPECT_EQ(p.item<float>(), -2.5);
  EXPECT_FALSE(optim::skip_not_finite({ones({2}), ones({1})}).item<bool>());
  EXPECT_TRUE(optim::skip_not_finite({ones({2}), tensor({NAN})}).item<bool>());
}

TEST(Wrappers, J_103_apply_if_finite_gives_up_after_n_in_a_row) {
  const GoldenFile golden("optim");
  const auto tx = optim::apply_if_finite(optim::adam(0.01), 2);
  OptimParams bad = optim_gradient(0);
  const Tensor nan = scalar(NAN, DType::kF32);
  bad = {index_set(bad.a, tensor({0}), nan), index_set(bad.b, tensor({0}), nan)};
  OptimParams p = optim_start();
  TransformState state = tx.init(p);
  const OptimParams sequence[] = {optim_gradient(0), bad, optim_gradient(1), bad, bad, bad};
  for (int i = 0; i < 6; ++i) {
    optim::step(tx, p, sequence[i], state);
    testing::expect_params(p, golden, "apply_if_finite/params/" + std::to_string(i) + "/", 5e-6,
                           "step " + std::to_string(i));
  }
  EXPECT_EQ(state.lists.at("notfinite_count")[0].item<int>(), 3);
  EXPECT_EQ(state.lists.at("total_notfinite")[0].item<int>(), 4);
  EXPECT_FALSE(state.lists.at("last_finite")[0].item<bool>());
}

TEST(Wrappers, J_101_settings_in_the_state_can_be_changed) {
  const auto tx = optim::inject_hyperparams(
      [](const optim::Hyperparameters& h) { return optim::sgd(h.at("learning_rate")); },
      {{"learning_rate", 0.5}});
  Tensor p = zeros({1});
  TransformState state = tx.init(p);
  const auto step = jit([tx](Tensor& q, TransformState& s) { optim::step(tx, q, ones({1}), s); });
  step(p, state);
  EXPECT_EQ(p.item<float>(), -0.5);
  EXPECT_EQ(optim::hyperparameter(state, "learning_rate").item<float>(), 0.5);
  optim::hyperparameter(state, "learning_rate") = scalar(2, DType::kF32).to(default_device());
  step(p, state);
  EXPECT_EQ(p.item<float>(), -2.5);
  EXPECT_EQ(step.trace_count(), 1u);
  EXPECT_THROW(optim::hyperparameter(state, "momentum"), TreeError);
}

TEST(Wrappers, J_101_J_135_scheduled_settings_are_kept_in_the_state) {
  const auto tx = optim::inject_hyperparams(
      [](const optim::Hyperparameters& h) { return optim::sgd(h.at("learning_rate")); },
      {{"learning_rate", optim::linear_schedule(1, 0, 4)}});
  Tensor p = zeros({1});
  TransformState state = tx.init(p);
  for (float rate : {1.f, 0.75f, 0.5f}) {
    const Tensor before = p;
    optim::step(tx, p, ones({1}), state);
    EXPECT_EQ((before - p).item<float>(), rate);
    EXPECT_EQ(optim::hyperparameter(state, "learning_rate").item<float>(), rate);
  }
}

TEST(Wrappers, J_104_lookahead_and_apply_every_refuse_periods_below_one) {
  EXPECT_THROW(optim::lookahead(optim::sgd(1), {.sync_period = 0}), ValueError);
  EXPECT_THROW(optim::apply_every(0), ValueError);
}

TEST(Wrappers, J_136_the_scale_falls_on_plateaus) {
  const GoldenFile golden("optim_long");
  const auto tx = optim::chain(optim::identity(), optim::reduce_on_plateau({.factor = 0.5,
                                                                            .patience = 2,
                                                                            .rtol = 1e-2,
                                                                            .cooldown = 1,
                                                                            .accumulation = 2,
                                                                            .min_scale = 0.1}));
  const Tensor g = ones({1}), values = golden.tensor("plateau/value"),
               wanted = golden.tensor("plateau/out");
  TransformState state = tx.init(g);
  const auto update = jit([tx](TransformState& s, const Tensor& x, const Tensor& value) {
    auto [updates, next] = tx.update(x, s, x, {.value = value});
    s = next;
    return updates;
  });
  for (int64_t i = 0; i < values.shape(0); ++i)
    expect_golden(update(state, g, values[i])[0], wanted[i], 1e-6, "value " + std::to_string(i));
  expect_error<ValueError>([&] { tx.update(g, state, g); }, "the value of the loss is needed");
  EXPECT_THROW(optim::reduce_on_plateau({.factor = 1}), ValueError);
  EXPECT_THROW(optim::reduce_on_plateau({.rtol = 0}), ValueError);
}

}  // namespace
}  // namespace linnet::optim_wrappers_test
