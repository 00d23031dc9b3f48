// Object modules as functional ones under lifted transformations.
#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"
#include "linnet/linen/transforms.h"
#include "ops/golden_file.h"

namespace linnet::bridge_tests::lifted_test {
namespace {

using bridge::to_linen;
using bridge::to_linen_with;
using linen::Scope;
using linen::Variables;

linen::VmapOptions side_by_side() {
  return {.variable_axes = {{"params", 0}}, .split_rngs = {{"params", true}}};
}

TEST(BridgeLifted, B_121_vmap) {
  const linnet::testing::GoldenFile golden("bridge");
  const auto recorded = [&](const std::string& name) {
    return golden.tensor("vmap_to_linen/" + name);
  };
  const auto linear = to_linen<nnx::Linear>(4, 3);
  const auto named = [&](Scope& s, const Tensor& x) {
    return s("m", linen::vmap(linear, side_by_side()), x);
  };
  const Tensor x = recorded("x");
  const auto [out, variables] = linen::init_with_output(named, Key(0), x);
  linnet::testing::expect_golden(out, recorded("out"), 2e-6, "out");
  for (const char* name : {"kernel", "bias"}) {
    linnet::testing::expect_golden(variables["params"]["m"][name],
                                   recorded(std::string("variables/params/m/") + name), 2e-6, name);
  }
  const auto automatic = [&](Scope& s, const Tensor& y) {
    return s(linen::vmap(linear, side_by_side()), y);
  };
  EXPECT_EQ(linen::init(automatic, Key(0), x)["params"].keys(),
            std::vector<std::string>{"VmapToLinen_0"});
}

TEST(BridgeLifted, B_122_the_graph_definition_is_lifted_or_made_again) {
  linen::VmapOptions with_definition = side_by_side();
  with_definition.variable_axes.push_back({"nnx", kNone});
  const auto linear = to_linen<nnx::Linear>(4, 3);
  const Tensor x = normal({2, 4});
  const auto stored = linen::vmap(linear, with_definition);
  const auto without = linen::vmap(linear, side_by_side());
  const Variables a = linen::init(stored, Key(0), x), b = linen::init(without, Key(0), x);
  EXPECT_TRUE(a.contains("nnx"));
  EXPECT_FALSE(b.contains("nnx"));
  expect_equal(a["params"]["kernel"], b["params"]["kernel"]);
  expect_equal(linen::apply(stored, a, x), linen::apply(without, b, x));
  expect_equal(linen::apply(without, a, x), linen::apply(without, b, x));
}

nnx::LinearOptions named_axes() {
  return {.kernel_metadata = {{"out_sharding", AxisNames{"in", "out"}}}};
}

TEST(BridgeLifted, B_123_B_141_B_142_scan_and_its_metadata) {
  const auto linear = to_linen<nnx::Linear>(4, 4, named_axes());
  const auto layer = [&](Scope& s, const Tensor& x) {
    return std::make_pair(tanh(s("linear", linear, x)), std::tuple<>());
  };
  const auto spec = [](const Variables& variables) {
    return linen::get_partition_spec(variables).at("params/linear/kernel");
  };
  const auto observed = [&](Scope& s, const Tensor& x) {
    auto out = layer(s, x);
    EXPECT_EQ(spec(s.variables()), P("in", "out")) << "inside the axis is not there";
    return out;
  };
  const linen::ScanOptions options{.variable_axes = {{"params", 0}},
                                   .split_rngs = {{"params", true}},
                                   .length = 3,
                                   .metadata_params = {{"partition_name", std::string("layers")}}};
  const auto layers = linen::scan(observed, options);
  const Tensor x = normal({2, 4});
  const Variables variables = linen::init(layers, Key(0), x);
  EXPECT_EQ(spec(variables), P("layers", "in", "out"));
  EXPECT_EQ(variables["params"]["linear"]["kernel"].shape(), (Shape{3, 4, 4}));
  Tensor expected = x;
  for (int64_t i = 0; i < 3; ++i) {
    const Variables one = tree::map(Variables{{"params", linen::unbox(variables["params"])}},
                                    [&](const Tensor& t) { return t[i]; });
    expected = linen::apply(layer, one, expected).first;
  }
  expect_near(linen::apply(layers, variables, x).first, expected);
  EXPECT_EQ(spec(linen::apply_with({.mutate = {"params"}}, layers, variables, x).second),
            P("layers", "in", "out"))
      << "removed on the way in, added on the way out";
  const auto shared = linen::scan(
      layer, {.variable_broadcast = "params", .split_rngs = {{"params", false}}, .length = 3});
  EXPECT_EQ(spec(linen::init(shared, Key(0), x)), P("in", "out"));
}

TEST(BridgeLifted, B_143_metadata_axis_alone) {
  const auto annotated =
      linen::add_metadata_axis(to_linen<nnx::Linear>(4, 3, named_axes()), {"params", 0},
                               {{"partition_name", std::string("layers")}});
  const Variables variables = linen::init(annotated, Key(0), normal({2, 4}));
  EXPECT_EQ(linen::get_partition_spec(variables).at("params/kernel"), P("layers", "in", "out"));
  EXPECT_EQ(variables["params"]["kernel"].shape(), (Shape{4, 3}));
}

/// Batch norm, dropout and a count.
struct Stateful {
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  Count count;
  explicit Stateful(nnx::Rngs& rngs)
      : norm(4, rngs), drop(0.5, rngs), count(zeros({}, DType::kI32)) {}
  LINNET_FIELDS(norm, drop, count)
  Tensor operator()(const Tensor& x) {
    count = count.value() + scalar_integer(1, DType::kI32);
    return drop(norm(x));
  }
};

TEST(BridgeLifted, B_124_remat_jit_and_views) {
  const auto stateful = to_linen<Stateful>();
  const Tensor x = normal({3, 4});
  const linen::RngStreams streams{{"params", Key(0)}, {"dropout", Key(1)}};
  const linen::ApplyOptions options{.mutate = {"BatchStat", "Count", "batch_stats"},
                                    .rngs = {{"dropout", Key(2)}}};
  const auto run = [&](const auto& module) {
    const Variables variables = linen::init(module, streams, x);
    return linen::apply_with(options, module, variables, x);
  };
  const auto [plain, updates] = run(stateful);
  const auto [recomputed, remat_updates] = run(linen::remat(stateful));
  expect_equal(recomputed, plain);
  EXPECT_EQ(to_string(remat_updates), to_string(updates));
  const auto [folded, unused] = run(linen::fold_rngs(stateful));
  const auto [compiled, jit_updates] = run(linen::jit(stateful));
  expect_near(compiled, folded);
  EXPECT_EQ(to_string(jit_updates), to_string(updates));
  const auto [viewed, view_updates] =
      run(linen::map_variables(stateful, "params", {.mutate = true}));
  expect_equal(viewed, plain);
}

TEST(BridgeLifted, B_045_transformed_functional_modules_as_objects) {
  const auto layer = [](Scope& s, const Tensor& x) {
    return std::make_pair(tanh(s("dense", linen::Dense{.features = 4}, x)), std::tuple<>());
  };
  const auto layers = linen::scan(
      linen::remat(layer),
      {.variable_axes = {{"params", 0}}, .split_rngs = {{"params", true}}, .length = 3});
  const auto deep = [layers](Scope& s, const Tensor& x) { return s("layers", layers, x).first; };
  const Tensor x = normal({2, 4});
  auto model = bridge::ToNNX(deep, nnx::Rngs(0)).lazy_init(x);
  const Tensor kernel = model["layers"]["dense"]["kernel"];
  EXPECT_EQ(kernel.shape(), (Shape{3, 4, 4}));
  const Variables params = {
      {"params",
       linen::Variables{
           {"layers", linen::Variables{
                          {"dense", linen::Variables{
                                        {"kernel", kernel},
                                        {"bias", Tensor(model["layers"]["dense"]["bias"])}}}}}}}};
  expect_equal(model(x), linen::apply(deep, params, x));
  const auto loss = [&](auto& m) { return sum(square(m(x))); };
  const nnx::State gradients = nnx::grad(loss, model);
  const Variables expected =
      grad([&](const Variables& v) { return sum(square(linen::apply(deep, v, x))); })(params);
  ASSERT_EQ(gradients.size(), 2u);
  for (const auto& [path, leaf] : gradients.entries()) {
    expect_near(leaf.value(), expected["params"]["layers"]["dense"][path.back().name]);
  }
}

}  // namespace
}  // namespace linnet::bridge_tests::lifted_test
