// Both wrappers against recorded results (tests/reference, file bridge.safetensors).
#include "bridge/bridge_modules.h"
#include "ops/golden_file.h"

namespace linnet::bridge_tests::golden_test {
namespace {

using bridge::to_linen;
using bridge::ToNNX;
using linen::Variables;
using linnet::testing::expect_golden;
using linnet::testing::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile file("bridge");
  return file;
}
Tensor recorded(const std::string& name) { return golden().tensor(name); }
void expect_recorded(const Tensor& got, const std::string& name, double tolerance = 2e-6) {
  expect_golden(got, recorded(name), tolerance, name);
}
/// Every variable but random state.
template <class M>
void expect_state(M& model, const std::string& prefix) {
  const nnx::State state = nnx::state(model, nnx::not_(nnx::of_type<nnx::RngState>()));
  EXPECT_FALSE(state.empty());
  for (const auto& [path, leaf] : state.entries())
    expect_recorded(leaf.value(), prefix + "/" + tree::to_string(path));
}
void expect_variables(const Variables& vars, const std::string& prefix) {
  size_t count = 0;
  for (const auto& [path, leaf] : linen::flat_leaves(vars)) {
    if (leaf->fixed()) continue;
    std::string name = prefix;
    for (const std::string& part : path) name += "/" + part;
    expect_recorded(leaf->value(), name);
    ++count;
  }
  EXPECT_GT(count, 0u);
}

TEST(BridgeGolden, B_045_B_046_ToNnxDense) {
  const Tensor x = recorded("to_nnx_dense/x");
  auto model = ToNNX(linen::Dense{.features = 64}, nnx::Rngs(0)).lazy_init(x);
  expect_state(model, "to_nnx_dense/state");
  expect_recorded(model(x), "to_nnx_dense/out");
}

TEST(BridgeGolden, B_097_ToLinenLinear) {
  const Tensor x = recorded("to_linen_linear/x");
  const auto [out, vars] = linen::init_with_output(to_linen<nnx::Linear>(32, 64), Key(0), x);
  expect_variables(vars, "to_linen_linear/variables");
  expect_recorded(out, "to_linen_linear/out");
}

TEST(BridgeGolden, B_042_B_043_KeysAndSharedRngs) {
  auto keyed = ToNNX(linen::Dense{.features = 4}, Key(3)).lazy_init(normal({1, 3}));
  expect_recorded(keyed["kernel"], "to_nnx_key/state/kernel");
  expect_recorded(keyed["bias"], "to_nnx_key/state/bias");
  nnx::Rngs rngs(0);
  ToNNX first(linen::Dense{.features = 2}, rngs), second(linen::Dense{.features = 2}, rngs);
  nnx::Linear linear(3, 2, rngs);
  const Tensor z = normal({1, 3});
  expect_state(first.lazy_init(z), "to_nnx_shared_rngs/first");
  expect_state(second.lazy_init(z), "to_nnx_shared_rngs/second");
  expect_state(linear, "to_nnx_shared_rngs/linear");
}

TEST(BridgeGolden, B_057_B_063_FunctionalInsideObject) {
  for (const std::string rate : {"0.0", "0.5"}) {
    const std::string name = "stateful_functional_" + rate;
    const Tensor x = recorded(name + "/x");
    nnx::Rngs rngs = two_streams();
    StatefulBlock model(5, 4, std::stod(rate), rngs);
    bridge::lazy_init(model, x);
    expect_recorded(model(x), name + "/first");
    expect_recorded(model(x), name + "/second");
    nnx::reseed(model, {{"dropout", Key(2)}});
    expect_recorded(model(x), name + "/reseeded");
    expect_state(model, name + "/state");
  }
}

TEST(BridgeGolden, B_088_B_101_ObjectInsideFunctional) {
  for (const std::string rate : {"0.0", "0.5"}) {
    const std::string name = "functional_stateful_" + rate;
    const Tensor x = recorded(name + "/x");
    const FunctionalOuter outer{std::stod(rate)};
    const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
    const auto [out, vars] = linen::init_with_output(outer, both, x);
    expect_variables(vars, name + "/variables");
    expect_recorded(out, name + "/init_out");
    const linen::ApplyOptions options{.rngs = {{"dropout", Key(2)}}};
    expect_recorded(linen::apply_with(options, outer, vars, x).first, name + "/apply_out");
    Variables params;
    params.at_path({"params"}) = vars["params"];
    expect_recorded(linen::apply_with(options, outer, params, x).first, name + "/apply_out");
  }
}

TEST(BridgeGolden, B_151_B_152_Sandwich) {
  for (const std::string rate : {"0.0", "0.5"}) {
    const std::string name = "sandwich_" + rate;
    const Tensor x = recorded(name + "/x");
    nnx::Rngs rngs = two_streams();
    ToNNX model(FunctionalOuter{std::stod(rate)}, rngs);
    model.lazy_init(x);
    expect_recorded(model(x), name + "/first");
    expect_recorded(model(x), name + "/second");
    nnx::reseed(model, {{"dropout", Key(2)}});
    expect_recorded(model(x), name + "/reseeded");
    expect_state(model, name + "/state");
  }
}

TEST(BridgeGolden, B_052_LazyInitUnderVmap) {
  const Tensor x = recorded("vmap_to_nnx/x");
  nnx::Rngs rngs(0);
  const Tensor keys = random::split(rngs(), 5).data();
  const auto make = [](const Tensor& key, const Tensor& input) {
    auto model = ToNNX(linen::Dense{.features = 3}, nnx::Rngs(Key(key))).lazy_init(input);
    return std::make_tuple(model["kernel"].value(), model["bias"].value(), model(input));
  };
  const auto [kernel, bias, out] = vmap(make, {.in_axes = {0, kNone}})(keys, x);
  expect_recorded(kernel, "vmap_to_nnx/state/kernel");
  expect_recorded(bias, "vmap_to_nnx/state/bias");
  expect_recorded(out, "vmap_to_nnx/out");
}

TEST(BridgeGolden, BatchNormThroughBothWrappers) {
  const Tensor x = recorded("batch_norm_to_nnx/x");
  auto object = ToNNX(linen::BatchNorm{.use_running_average = false, .momentum = 0.9}, nnx::Rngs(0))
                    .lazy_init(x);
  expect_state(object, "batch_norm_to_nnx/before");
  expect_recorded(object.call({.mutate = {"batch_stats"}}, x), "batch_norm_to_nnx/out");
  expect_state(object, "batch_norm_to_nnx/after");

  const auto model = to_linen<nnx::BatchNorm>(3, nnx::BatchNormOptions{.momentum = 0.9});
  const Variables vars = linen::init(model, Key(0), x, false);
  expect_variables(vars, "batch_norm_to_linen/variables");
  const auto [out, updates] = linen::apply_with({.mutate = {"batch_stats"}}, model, vars, x, false);
  expect_recorded(out, "batch_norm_to_linen/out");
  expect_variables(updates, "batch_norm_to_linen/updates");
}

TEST(BridgeGolden, B_070_B_107_Counters) {
  const Tensor x = recorded("counter_to_nnx/x");
  auto object = ToNNX(Counter{}, nnx::Rngs(0)).lazy_init(x);
  expect_state(object, "counter_to_nnx/before");
  expect_recorded(object.call({.mutate = true}, x), "counter_to_nnx/out");
  expect_state(object, "counter_to_nnx/after");

  const auto model = to_linen<StatefulCounter>();
  const Variables vars = linen::init(model, Key(0), x);
  expect_variables(vars, "counter_to_linen/variables");
  const auto [out, updates] = linen::apply_with({.mutate = {"Count"}}, model, vars, x);
  expect_recorded(out, "counter_to_linen/out");
  expect_variables(updates, "counter_to_linen/updates");
}

TEST(BridgeGolden, GradientsThroughBothWrappers) {
  const Tensor x = recorded("gradients_stateful/x");
  nnx::Rngs rngs = two_streams();
  StatefulBlock model(5, 4, 0.0, rngs);
  bridge::lazy_init(model, x);
  const auto [loss, grads] = nnx::value_and_grad(
      [&](StatefulBlock& m) {
        const Tensor y = m(x);
        return mean(y * y);
      },
      model);
  expect_recorded(loss, "gradients_stateful/loss");
  EXPECT_EQ(grads.size(), 4u);
  for (const auto& [path, leaf] : grads.entries()) {
    expect_recorded(leaf.value(), "gradients_stateful/grads/" + tree::to_string(path));
  }

  const FunctionalOuter outer{0.0};
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const Variables vars = linen::init(outer, both, x);
  const auto [value, gradient] = value_and_grad([&](const Variables& v) {
    const Tensor y = linen::apply(outer, v, x);
    return mean(y * y);
  })(vars);
  expect_recorded(value, "gradients_functional/loss");
  expect_variables(gradient["params"], "gradients_functional/grads");
}

}  // namespace
}  // namespace linnet::bridge_tests::golden_test
