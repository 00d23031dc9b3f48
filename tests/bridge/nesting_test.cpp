// Wrappers inside wrappers, and wrappers under transformations (inventory sections 9 and 10).
#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"

namespace linnet::bridge_tests::nesting_test {
namespace {

using bridge::to_linen;
using bridge::ToNNX;
using linen::Variables;

Tensor mean_square(const Tensor& y) { return mean(y * y); }

/// Object -> functional -> object, as in the reference's documentation.
struct Top {
  nnx::Param scale;
  ToNNX<FunctionalOuter> inner;
  Top(double rate, nnx::Rngs& rngs)
      : scale(random::normal(rngs.params(), {5})), inner(FunctionalOuter{rate}, rngs) {}
  LINNET_FIELDS(scale, inner)
  Tensor operator()(const Tensor& x) { return inner(x * scale.value()); }
};

Top made_top(double rate, const Tensor& x) {
  nnx::Rngs rngs = two_streams();
  Top model(rate, rngs);
  bridge::lazy_init(model, x);
  return model;
}

TEST(BridgeNesting, B_151_B_152_B_153_Sandwich) {
  const Tensor x = normal({3, 5});
  Top model = made_top(0.5, x);
  EXPECT_EQ(model.inner["second"]["linear"]["kernel"].shape(), Shape({4, 3}));
  EXPECT_TRUE(differ(model(x), model(x)));
  nnx::reseed(model, {{"dropout", Key(2)}});
  const Tensor first = model(x);
  nnx::reseed(model, {{"dropout", Key(2)}});
  expect_equal(model(x), first);

  Top plain = made_top(0.0, x);
  const auto layer = [&](const Tensor& h, const bridge::AttributeTree& p) {
    return matmul(h, p["kernel"]) + p["bias"].value();
  };
  Tensor expected = layer(x * plain.scale.value(), plain.inner["first"]);
  expected = layer(layer(expected, plain.inner["second"]["linear"]), plain.inner["third"]);
  expect_near(plain(x), expected);
}

TEST(BridgeNesting, B_151_GradientsAndJitThroughAllLevels) {
  const Tensor x = normal({3, 5});
  Top model = made_top(0.0, x);
  const auto loss = [&](Top& m) { return mean_square(m(x)); };
  auto [value, grads] = nnx::value_and_grad(loss, model);
  EXPECT_EQ(grads.size(), 7u);
  for (const auto& [path, leaf] : grads.entries()) {
    const Tensor g = leaf.value();
    EXPECT_GT(sum(abs(g)).item<float>(), 0) << tree::to_string(path);
  }
  const float step = 1e-2f;
  nnx::Variable kernel(model.inner["second"]["linear"]["kernel"].variable().cell());
  const Tensor before = kernel.value(), g = grads["inner"]["second"]["linear"]["kernel"];
  kernel.set_value(before + g * step);
  const float up = loss(model).item<float>();
  kernel.set_value(before - g * step);
  const float down = loss(model).item<float>();
  kernel.set_value(before);
  EXPECT_NEAR((up - down) / (2 * step), sum(g * g).item<float>(),
              1e-2f * sum(g * g).item<float>() + 1e-4f);

  auto compiled = jit([](Top& m, const Tensor& input) {
    auto [v, gs] = nnx::value_and_grad([&](Top& inner) { return mean_square(inner(input)); }, m);
    return std::make_pair(v, Tensor(gs["inner"]["first"]["kernel"]));
  });
  for (int i = 0; i < 2; ++i) {
    const auto [v, first] = compiled(model, x);
    expect_near(v, value, 1e-6);
    expect_near(first, grads["inner"]["first"]["kernel"], 1e-5);
  }
  EXPECT_EQ(compiled.trace_count(), 1u);
}

TEST(BridgeNesting, B_150_AnnotationsOfEveryLevel) {
  struct Inside {
    nnx::Linear linear;
    explicit Inside(nnx::Rngs& rngs)
        : linear(2, 3, {.kernel_metadata = {{"out_sharding", AxisNames{"in", "out"}}}}, rngs) {}
    LINNET_FIELDS(linear)
    Tensor operator()(const Tensor& x) const { return linear(x); }
  };
  struct Middle {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      const Tensor h = s("dot", to_linen<Inside>(), x);
      const auto bias = linen::with_logical_partitioning(init::zeros(), {"out-alias"},
                                                         AxisRules{{{"out-alias", "out"}}});
      return h + linen::param(s, "b", bias, {3}, DType::kF32);
    }
  };
  auto model = ToNNX(Middle{}, nnx::Rngs(0)).lazy_init(ones({1, 2}));
  EXPECT_EQ(partition_spec(model["dot"]["linear"]["kernel"].variable().metadata()), P("in", "out"));
  EXPECT_EQ(*model["b"].variable().metadata().get<AxisNames>("out_sharding"),
            AxisNames{"out-alias"});
  EXPECT_EQ(model(ones({1, 2})).shape(), Shape({1, 3}));
}

TEST(BridgeNesting, B_154_FunctionalAroundObjectAroundFunctional) {
  const Tensor x = normal({3, 5});
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const auto model = to_linen<StatefulBlock>(5, 4, 0.0);
  const auto [out, vars] = linen::init_with_output(model, both, x);
  EXPECT_EQ(vars["params"]["inner"]["dense"]["kernel"].shape(), Shape({4, 4}));
  expect_equal(linen::apply(model, vars, x), out);
  Variables params;
  params.at_path({"params"}) = vars["params"];
  expect_equal(linen::apply(model, params, x), out);
}

TEST(BridgeNesting, B_155_B_069_MutabilityFlowsInward) {
  struct Counting {
    ToNNX<Counter> counter;
    explicit Counting(nnx::Rngs& rngs) : counter(Counter{}, rngs) {}
    LINNET_FIELDS(counter)
    Tensor operator()(const Tensor& x) { return counter(x); }
  };
  const Tensor x = ones({3, 2});
  const auto model = to_linen<Counting>();
  const Variables vars = linen::init(model, Key(0), x);
  EXPECT_EQ(Tensor(vars["counter"]["counter"]["count"]).item<int>(), 0);
  const auto updates = linen::apply_with({.mutate = {"counter"}}, model, vars, x).second;
  EXPECT_EQ(Tensor(updates["counter"]["counter"]["count"]).item<int>(), 1);
  EXPECT_THROW(linen::apply(model, vars, x), ModuleError);
}

TEST(BridgeNesting, JitAgreesWithEagerForWrappedState) {
  const Tensor x = normal({2, 6, 6, 1});
  const auto make = [&] {
    auto model = ToNNX(ConvBlock{2}, nnx::Rngs(0));
    model.lazy_init(x, false);
    return model;
  };
  auto eager = make(), compiled = make();
  const auto step = [](ToNNX<ConvBlock>& m, const Tensor& input) {
    auto [loss, grads] = nnx::value_and_grad(
        [&](ToNNX<ConvBlock>& inner) {
          return mean_square(inner.call({.mutate = {"batch_stats"}}, input, true));
        },
        m);
    for (const auto& [path, leaf] : grads.entries()) {
      nnx::Variable target(nnx::state(m).find(path)->cell);
      target.set_value(target.value() - leaf.value() * 0.1f);
    }
    return loss;
  };
  auto program = jit(step);
  for (int i = 0; i < 3; ++i) expect_near(program(compiled, x), step(eager, x), 1e-5);
  EXPECT_EQ(program.trace_count(), 1u);
  for (const char* name : {"mean", "var"})
    expect_near(compiled["norm"][name], eager["norm"][name], 1e-5);
  expect_near(compiled["conv"]["kernel"], eager["conv"]["kernel"], 1e-5);
  EXPECT_EQ(compiled.rngs()["default"].count().item<int>(),
            eager.rngs()["default"].count().item<int>());
}

TEST(BridgeNesting, JitAgreesWithEagerForObjectsInsideFunctions) {
  struct Network {
    Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
      const Tensor h = s("stem", to_linen<StatefulConvBlock>(1, 2), x, train);
      return s("head", linen::Dense{.features = 3}, h.reshape({x.shape(0), -1}));
    }
  };
  const Tensor x = normal({2, 6, 6, 1});
  const Variables initial = linen::init(Network{}, Key(0), x, false);
  const auto step = [](Variables& vars, const Tensor& input) {
    auto [loss, updates, grads] = value_and_grad([&](const Variables& params) {
      auto [y, changed] =
          linen::apply_with({.mutate = {"batch_stats"}}, Network{}, params, input, true);
      return std::make_pair(mean_square(y), changed);
    })(vars);
    Variables next;
    next.at_path({"params"}) =
        tree::map(vars["params"], grads["params"],
                  [](const Tensor& p, const Tensor& g) { return p - g * 0.1f; });
    vars = vars | next | updates;
    return loss;
  };
  Variables eager = initial, compiled = initial;
  auto program = jit(step);
  for (int i = 0; i < 3; ++i) expect_near(program(compiled, x), step(eager, x), 1e-5);
  EXPECT_EQ(program.trace_count(), 1u);
  const TensorList a = tree::leaves(compiled), b = tree::leaves(eager);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_near(a[i], b[i], 1e-5);
  EXPECT_TRUE(differ(compiled["batch_stats"]["stem"]["norm"]["mean"],
                     initial["batch_stats"]["stem"]["norm"]["mean"]));
}

TEST(BridgeNesting, LazyInitInsideJit) {
  const Tensor x = normal({2, 5});
  const auto initialise = [](ToNNX<linen::Dense>& m, const Tensor& input) {
    m.lazy_init(input);
    return m(input);
  };
  ToNNX eager(linen::Dense{.features = 3}, nnx::Rngs(0)),
      compiled(linen::Dense{.features = 3}, nnx::Rngs(0));
  auto program = jit(initialise);
  expect_near(program(compiled, x), initialise(eager, x), 1e-6);
  expect_near(compiled["kernel"], eager["kernel"], 1e-6);
  expect_near(compiled(x), eager(x), 1e-6);
  const auto init = jit([](const Key& key, const Tensor& input) {
    return linen::init(to_linen<nnx::Linear>(5, 3), key, input);
  });
  expect_near(init(Key(0), x)["params"]["kernel"],
              linen::init(to_linen<nnx::Linear>(5, 3), Key(0), x)["params"]["kernel"], 1e-6);
}

TEST(BridgeNesting, DifferentModulesAreDifferentPrograms) {
  struct Scale {
    double factor;
    Tensor operator()(linen::Scope&, const Tensor& x) const { return x * factor; }
    LINNET_FIELDS(factor)
  };
  auto program = jit([](ToNNX<Scale>& m, const Tensor& x) { return m(x); });
  ToNNX two(Scale{2}), three(Scale{3}), again(Scale{2});
  EXPECT_EQ(values(program(two, ones({1}))), std::vector<float>{2});
  EXPECT_EQ(values(program(three, ones({1}))), std::vector<float>{3});
  EXPECT_EQ(values(program(again, ones({1}))), std::vector<float>{2});
  EXPECT_EQ(program.trace_count(), 2u);
}

TEST(BridgeNesting, VariablesMadeInsideAGradientArePlain) {
  struct Sowing {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      const Tensor y = s("dense", linen::Dense{.features = 2}, x);
      s.sow("intermediates", "y", y);
      return y;
    }
  };
  auto model = ToNNX(Sowing{}, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  nnx::value_and_grad(
      [](ToNNX<Sowing>& m) {
        return sum(m.call({.mutate = {"intermediates"}}, ones({1, 3})));
      },
      model);
  const Tensor sown = model["y"].variable().raw_value().tensors.at(0);
  EXPECT_FALSE(sown.traced());
  expect_near(sown, model(ones({1, 3})));
}

TEST(BridgeVariables, OfAnObjectModuleAndBack) {
  nnx::Rngs rngs = two_streams();
  StatefulConvBlock block(1, 2, rngs);
  Variables all = bridge::variables(block);
  EXPECT_EQ(all.keys(), (std::vector<std::string>{"batch_stats", "params"}));
  EXPECT_EQ(all["params"]["conv"]["kernel"].shape(), Shape({3, 3, 1, 2}));
  const auto cell = block.norm.mean.cell();
  const Variables doubled = tree::map(all, [](const Tensor& t) { return t * 2 + 1; });
  bridge::update(block, doubled);
  EXPECT_EQ(block.norm.mean.cell(), cell);
  expect_equal(block.norm.mean.value(), ones({2}));
  const Variables back = bridge::variables(block);
  const TensorList a = tree::leaves(back), b = tree::leaves(doubled);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
  EXPECT_EQ(tree::structure(back), tree::structure(doubled));
  Variables unknown;
  unknown.at_path({"params", "conv", "nothing"}) = Variables(ones({1}));
  EXPECT_THROW(bridge::update(block, unknown), ModuleError);
}

TEST(BridgeVariables, FunctionalAndObjectModelsAgreeOnTheSameVariables) {
  const Tensor x = normal({2, 6, 6, 1});
  nnx::Rngs rngs(0);
  StatefulConvBlock block(1, 2, rngs);
  const Variables all = bridge::variables(block);
  for (const bool train : {false, true}) {
    const Tensor y =
        train ? linen::apply_with({.mutate = {"batch_stats"}}, ConvBlock{2}, all, x, true).first
              : linen::apply(ConvBlock{2}, all, x, false);
    expect_near(block(x, train), y, 1e-6);
  }
  const auto updates =
      linen::apply_with({.mutate = {"batch_stats"}}, ConvBlock{2}, all, x, true).second;
  expect_near(updates["batch_stats"]["norm"]["mean"], block.norm.mean, 1e-6);
  expect_near(updates["batch_stats"]["norm"]["var"], block.norm.var, 1e-6);
}

TEST(BridgeFunctional, B_156_B_157_B_158_B_159) {
  auto counter = bridge::functional<StatefulCounter>();
  EXPECT_THROW(counter.apply(nnx::State()), ModuleError);
  EXPECT_FALSE(counter.graphdef().definition());
  const Tensor x = ones({1, 2});
  const nnx::State state = counter.init(nnx::Rngs(0));
  const auto [y, next] = counter.apply(state)(x);
  expect_equal(y, x + Tensor(state["bias"]));
  EXPECT_EQ(Tensor(state["count"]).item<int>(), 0);
  EXPECT_EQ(Tensor(next.second["count"]).item<int>(), 1);
  EXPECT_TRUE(next.first == counter.graphdef());
  auto embed = bridge::functional<nnx::Embed>(5, 3);
  const nnx::State table = embed.init(nnx::Rngs(0));
  const auto [logits, unchanged] = embed.apply(table).method(&nnx::Embed::attend, ones({1, 3}));
  EXPECT_EQ(logits.shape(), Shape({1, 5}));
  const auto parts = nnx::split_state(state, {nnx::of_type<nnx::Param>(), nnx::everything()});
  expect_equal(counter.apply(parts[0], parts[1])(x).first, y);
}

}  // namespace
}  // namespace linnet::bridge_tests::nesting_test
