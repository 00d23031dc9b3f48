// Layers under transformations: gradients against differences in f64, and compiled training steps
// with batch statistics and dropout against the same steps run directly.
#include "linnet/jit.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_training_test {
namespace {

using linen::Scope;
using testing::expect_golden;

/// Convolution, batch statistics, dropout with a fixed key, attention and normalisations, all in
/// f64.
struct DoubleModel {
  Tensor operator()(Scope& s, const Tensor& x) const {
    constexpr DType f64 = DType::kF64;
    Tensor h =
        s("conv",
          linen::Conv{.features = 4, .kernel = 3, .padding = "CIRCULAR", .param_dtype = f64}, x);
    h = gelu(s("norm", linen::BatchNorm{.param_dtype = f64}, h, false));
    h = h + s("attention", linen::SelfAttention{.heads = 2, .param_dtype = f64, .causal = true}, h);
    h = s("drop", linen::Dropout{0.3}, h, false, Key(4));
    h = s("group", linen::GroupNorm{.num_groups = 2, .param_dtype = f64}, h);
    return s("out", linen::Dense{.features = 2, .param_dtype = f64},
             s("ln", linen::LayerNorm{.param_dtype = f64}, h));
  }
};

TEST(Layers, L_115_GradientsAgreeWithDifferences) {
  const Tensor x = random::normal(Key(1), {2, 5, 3}, DType::kF64);
  const linen::Variables variables = linen::init(DoubleModel{}, Key(0), x);
  const Tensor weights = random::normal(Key(2), {2, 5, 2}, DType::kF64);
  const auto loss = [&](const linen::Variables& params) {
    const linen::Variables all = variables | linen::Variables{{"params", params}};
    return sum(linen::apply_with({.mutate = "batch_stats"}, DoubleModel{}, all, x).first * weights);
  };
  const linen::Variables params = variables["params"];
  const linen::Variables gradient = grad(loss)(params);
  // A random direction in the space of all parameters.
  int64_t seed = 10;
  const auto direction = tree::map(
      params, [&](const Tensor& t) { return random::normal(Key(seed++), t.shape(), DType::kF64); });
  const auto moved = [&](double step) {
    return loss(tree::map(params, direction,
                          [&](const Tensor& p, const Tensor& d) { return p + step * d; }))
        .item<double>();
  };
  const double h = 1e-5;
  const double numeric = (moved(h) - moved(-h)) / (2 * h);
  double analytic = 0;
  const TensorList g = tree::leaves(gradient), d = tree::leaves(direction);
  ASSERT_EQ(g.size(), d.size());
  for (size_t i = 0; i < g.size(); ++i) analytic += sum(g[i] * d[i]).item<double>();
  EXPECT_GT(std::abs(numeric), 1e-2);
  EXPECT_NEAR(analytic, numeric, 1e-6 * std::abs(numeric) + 1e-7);
}

struct Network {
  nnx::Conv conv;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  nnx::Linear head;

  explicit Network(nnx::Rngs& rngs)
      : conv(1, 4, {3, 3}, {.use_bias = false}, rngs),
        norm(4, {.momentum = 0.9}, rngs),
        drop(0.4, rngs),
        head(36, 3, rngs) {}
  LINNET_FIELDS(conv, norm, drop, head)

  Tensor operator()(const Tensor& x) {
    const Tensor h = relu(norm(nnx::max_pool(conv(x), {2, 2}, {2, 2})));
    return head(drop(reshape(h, {x.shape(0), -1})));
  }
};

Tensor train_step(Network& network, const Tensor& x, const Tensor& labels) {
  const auto [loss, gradients] =
      nnx::value_and_grad([&](Network& n) { return cross_entropy(n(x), labels); }, network);
  const nnx::State parameters = nnx::state(network, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : parameters.entries()) {
    state::write(leaf.cell,
                 state::read(leaf.cell).tensors[0] - 0.1 * gradients.find(path)->value());
  }
  return loss;
}

TEST(Layers, N_085_CompiledTrainingStepKeepsStatisticsAndStreams) {
  nnx::Rngs rngs(0);
  Network eager(rngs);
  Network compiled = nnx::clone(eager);
  const auto step =
      jit([](Network& n, const Tensor& x, const Tensor& y) { return train_step(n, x, y); });
  for (int64_t t = 0; t < 3; ++t) {
    const Tensor x = random::normal(Key(t), {5, 6, 6, 1}),
                 y = random::randint(Key(t + 9), {5}, 0, 3);
    expect_golden(step(compiled, x, y), train_step(eager, x, y), 2e-6, "loss");
  }
  EXPECT_EQ(step.trace_count(), 1u);
  EXPECT_EQ(eager.drop.rngs->count().item<int>(), 3);
  const auto a = tree::leaves_with_path(compiled), b = tree::leaves_with_path(eager);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_golden(a[i].second, b[i].second, 5e-6, a[i].first);
  nnx::eval(compiled);
  nnx::eval(eager);
  const Tensor x = random::normal(Key(30), {2, 6, 6, 1});
  expect_golden(compiled(x), eager(x), 5e-6, "evaluation");
  EXPECT_EQ(eager.drop.rngs->count().item<int>(), 3);
}

struct FunctionalNetwork {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("conv", linen::Conv{.features = 4, .kernel = {3, 3}, .use_bias = false}, x);
    h = relu(
        s("norm", linen::BatchNorm{.momentum = 0.9}, linen::max_pool(h, {2, 2}, {2, 2}), !train));
    h = s("drop", linen::Dropout{0.4}, reshape(h, {x.shape(0), -1}), !train);
    return s("head", linen::Dense{.features = 3}, h);
  }
};

struct TrainState {
  linen::Variables variables;
  Key key;
};

Tensor functional_step(TrainState& state, const Tensor& x, const Tensor& labels) {
  const Key keys = random::split(state.key);
  const auto [loss, updates, gradients] = value_and_grad([&](const linen::Variables& params) {
    const linen::Variables all = state.variables | linen::Variables{{"params", params}};
    auto [logits, changed] =
        linen::apply_with({.mutate = "batch_stats", .rngs = {{"dropout", keys[1]}}},
                          FunctionalNetwork{}, all, x, true);
    return std::make_pair(cross_entropy(logits, labels), changed);
  })(state.variables["params"]);
  const auto params = tree::map(state.variables["params"], gradients,
                                [](const Tensor& p, const Tensor& g) { return p - 0.1 * g; });
  state.variables = linen::Variables{{"params", params}} | updates;
  state.key = keys[0];
  return loss;
}

TEST(Layers, L_130_CompiledTrainingStepOfAFunctionalNetwork) {
  TrainState eager{linen::init(FunctionalNetwork{}, Key(0), zeros({1, 6, 6, 1}), false), Key(1)};
  TrainState compiled = eager;
  const auto step =
      jit([](TrainState& s, const Tensor& x, const Tensor& y) { return functional_step(s, x, y); });
  for (int64_t t = 0; t < 3; ++t) {
    const Tensor x = random::normal(Key(t), {5, 6, 6, 1}),
                 y = random::randint(Key(t + 9), {5}, 0, 3);
    expect_golden(step(compiled, x, y), functional_step(eager, x, y), 2e-6, "loss");
  }
  const auto a = tree::leaves_with_path(compiled), b = tree::leaves_with_path(eager);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_golden(a[i].second, b[i].second, 5e-6, a[i].first);
  EXPECT_FALSE(testing::words(compiled.key) == testing::words(Key(1)));
}

}  // namespace
}  // namespace linnet::layers_training_test
