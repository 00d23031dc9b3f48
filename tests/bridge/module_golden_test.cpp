// Bridge modules against recorded results (tests/reference, file bridge_module.safetensors): names,
// keys and values from the same seeds.
#include <set>

#include "bridge/module_models.h"
#include "linnet/linen/partitioning.h"
#include "ops/golden_file.h"

namespace linnet::bridge_tests::module_golden_test {
namespace {

using linen::Variables;
using linnet::testing::expect_golden;
using linnet::testing::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile file("bridge_module");
  return file;
}
Tensor recorded(const std::string& name) { return golden().tensor(name); }
void expect_recorded(const Tensor& got, const std::string& name, double tolerance = 2e-6) {
  expect_golden(got, recorded(name), tolerance, name);
}

/// Exactly the recorded names; parameters are those of the same keys, bit for bit up to the last
/// digit of the functions they are made with.
void expect_variables(const Variables& vars, const std::string& prefix) {
  std::set<std::string> names;
  for (const auto& [path, leaf] : linen::flat_leaves(vars)) {
    const TensorList& tensors = leaf->leaf().tensors;
    for (size_t i = 0; i < tensors.size(); ++i) {
      std::string name = prefix + "/" + tree::to_string(path);
      if (leaf->leaf().tuple) name += "/" + std::to_string(i);
      names.insert(name);
      expect_recorded(tensors[i], name);
    }
  }
  std::set<std::string> wanted;
  static const SafetensorsFile file = read_safetensors(
      std::string(LINNET_TEST_DATA) + "/reference/golden/bridge_module.safetensors");
  for (const std::string& name : file.names()) {
    if (name.starts_with(prefix + "/")) wanted.insert(name);
  }
  EXPECT_EQ(names, wanted);
}

template <class M>
std::pair<Tensor, Variables> expect_init(const std::string& name, const M& model,
                                         const bridge::ApplyRngs& rngs) {
  auto result = bridge::init_with_output(model, rngs, recorded(name + "/x"));
  expect_recorded(result.first, name + "/out");
  expect_variables(result.second, name + "/variables");
  return result;
}

TEST(BridgeModuleGolden, B_177_B_192_dense_and_its_gradient) {
  const BridgeDense model{{}, 4};
  const auto [out, vars] = expect_init("dense", model, 0);
  const Tensor x = recorded("dense/x");
  const auto loss = [&](const Variables& params) {
    return mean(square(bridge::apply(model, Variables{{"params", params}}, x)));
  };
  auto gradient = jit([&](const Variables& params) { return grad(loss)(params); });
  expect_variables(gradient(vars["params"]), "dense/grads");
}

TEST(BridgeModuleGolden, B_168_B_169_B_176_compact_names) {
  const CompactNet model{{}, 5};
  const auto [out, vars] = expect_init("compact", model, {{"params", Key(3)}});
  expect_recorded(bridge::apply(model, vars, recorded("compact/x")), "compact/applied");
}

TEST(BridgeModuleGolden, B_183_B_186_streams) {
  struct Streams : Module {
    std::map<std::string, Tensor> operator()(const Tensor& x) {
      const Compact compact(*this);
      (*submodule(BridgeDense{{}, 2}))(x);
      std::map<std::string, Tensor> keys;
      keys["params"] = make_rng("params").data();
      keys["dropout"] = make_rng("dropout").data();
      keys["default"] = make_rng().data();
      keys["again"] = make_rng("dropout").data();
      return keys;
    }
  };
  const auto [keys, vars] = bridge::init_with_output(
      Streams{}, {{"params", Key(0)}, {"default", Key(5)}}, recorded("streams/x"));
  for (const auto& [name, key] : keys) expect_equal(key, recorded("streams/keys/" + name));
  expect_variables(vars, "streams/variables");
}

TEST(BridgeModuleGolden, B_163_B_170_B_175_setup) {
  const auto [out, vars] = expect_init("setup", ParentModule{}, 7);
  expect_equal(bridge::apply(ParentModule{}, vars, recorded("setup/x")), out);
}

TEST(BridgeModuleGolden, B_181_B_182_B_187_counter) {
  const auto [out, vars] = expect_init("counter", CounterModule{}, 0);
  EXPECT_EQ(vars["counter"]["count"].value().item<int32_t>(), 1);
  const auto [second, updates] =
      bridge::apply_with({.mutate = {"counter"}}, CounterModule{}, vars, recorded("counter/x"));
  expect_recorded(second, "counter/second");
  expect_variables(updates, "counter/updates");
  EXPECT_EQ(vars["counter"]["count"].value().item<int32_t>(), 1);
}

TEST(BridgeModuleGolden, B_174_shared_modules) {
  for (const int first : {0, 1}) {
    const std::string name = "shared_" + std::to_string(first);
    const SharedModules model{{}, first == 1};
    const auto [out, vars] = expect_init(name, model, 2);
    EXPECT_EQ(paths_of(vars), Paths{first ? "params/zzz/w" : "params/aaa/dense/w"});
  }
}

template <class M>
void expect_layers(const std::string& name, const M& model, const bridge::ApplyRngs& again) {
  const auto [out, vars] = expect_init(name, model, {{"params", Key(0)}, {"dropout", Key(1)}});
  const auto [applied, updates] =
      bridge::apply_with({.mutate = true, .rngs = again}, model, vars, recorded(name + "/x"));
  expect_recorded(applied, name + "/applied");
  expect_variables(updates, name + "/updates");
}

TEST(BridgeModuleGolden, B_195_B_196_B_197_B_198_B_199_object_layers_inside) {
  expect_layers("nnx_layers_compact", CompactLayers{}, {{"dropout", Key(2)}, {"params", Key(9)}});
  expect_layers("nnx_layers_setup", SetupLayers{}, {{"dropout", Key(2)}, {"params", Key(9)}});
}

TEST(BridgeModuleGolden, B_202_B_203_B_204_functional_layers_inside) {
  expect_layers("linen_layers", CompactFunctional{}, {{"dropout", Key(2)}});
}

TEST(BridgeModuleGolden, B_146_B_147_B_191_annotations) {
  const auto [out, vars] = expect_init("annotated", AnnotatedModule{}, 0);
  ASSERT_TRUE(vars["params"]["w"].box());
  EXPECT_EQ(vars["params"]["w"].box()->kind, "Partitioned");
  EXPECT_FALSE(vars["params"]["b"].box());
  EXPECT_EQ(linen::get_partition_spec(vars).at("params/w"), P("in", "out"));
  const auto [again, all] =
      bridge::apply_with({.mutate = true}, AnnotatedModule{}, vars, recorded("annotated/x"));
  EXPECT_EQ(all["params"]["w"].box(), vars["params"]["w"].box());
  // What is given without a box is a variable without metadata.
  const auto bare = bridge::apply_with({.mutate = true}, AnnotatedModule{}, linen::unbox(vars),
                                       recorded("annotated/x"));
  EXPECT_FALSE(bare.second["params"]["w"].box());
}

}  // namespace
}  // namespace linnet::bridge_tests::module_golden_test
