// Annotations mean the same on both sides of the bridge.
#include "linnet/linen/partitioning.h"
#include "bridge/bridge_modules.h"
#include "linnet/linen/transforms.h"
#include "linnet/nnx/partitioning.h"

namespace linnet::bridge_tests::partitioning_test {
namespace {

using linen::Variables;

const AxisRules& rules() {
  static const AxisRules all{{{"embed", "data"}, {"mlp", "model"}, {"layers", kNone}}};
  return all;
}

/// The specs of a dictionary without the level of collections. Logical boxes are translated, which
/// variables are already.
nnx::Specs by_path(const Variables& variables) {
  nnx::Specs out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (leaf->fixed()) continue;  // a graph definition
    const P spec = linen::get_partition_spec(*leaf).at("");
    const bool logical = leaf->box() && leaf->box()->kind == "LogicallyPartitioned";
    const AxisRules* own =
        logical ? leaf->box()->metadata.get<AxisRules>("sharding_rules") : nullptr;
    const std::vector<std::string> below(path.begin() + 1, path.end());
    out[tree::to_string(below)] =
        logical ? logical_to_mesh_axes(spec, own ? std::optional(*own) : std::nullopt) : spec;
  }
  return out;
}

/// What the stateful side says about the same paths.
template <class M>
void expect_same_specs(M& module, const Variables& variables, const char* what) {
  const nnx::Specs stateful = nnx::get_partition_spec(module);
  const nnx::Specs functional = by_path(variables);
  EXPECT_FALSE(functional.empty());
  for (const auto& [path, spec] : functional) {
    ASSERT_TRUE(stateful.contains(path)) << what << " " << path;
    EXPECT_EQ(stateful.at(path).trimmed(), spec.trimmed()) << what << " " << path;
  }
}

linen::Dense boxed_dense(int kind) {
  const auto init = init::lecun_normal();
  const linen::ParamInit kernels[] = {
      linen::with_partitioning(init, {"data", "model"}),
      linen::with_logical_partitioning(init, {"embed", "mlp"}, rules()),
      linen::with_logical_partitioning(init, {"mlp", "embed"}), linen::ParamInit(init)};
  return {.features = 4, .kernel_init = kernels[kind]};
}

TEST(BridgePartitioning, S_214_law_functional_models_as_objects) {
  for (int kind = 0; kind < 4; ++kind) {
    // Rules of the thread are for logical names: variables apply them to whatever they find.
    const auto scope = logical_axis_rules(kind == 0 ? AxisRules() : rules());
    for (const char* transformation : {"none", "scan", "vmap"}) {
      const linen::Dense dense = boxed_dense(kind);
      const Metadata name{{"partition_name", "layers"}};
      const auto model = [=](linen::Scope& s, const Tensor& x) {
        const std::string_view which = transformation;
        if (which == "none") return s("dense", dense, x);
        if (which == "vmap") {
          return s("mapped",
                   linen::vmap(dense, {.variable_axes = {{"params", 1}},
                                       .split_rngs = {{"params", true}},
                                       .metadata_params = name}),
                   x);
        }
        const auto step = [=](linen::Scope& inner, const Tensor& h) {
          return std::make_pair(inner("dense", dense, h), std::tuple<>());
        };
        return linen::scan(step, {.variable_axes = {{"params", 0}},
                                  .split_rngs = {{"params", true}},
                                  .length = 3,
                                  .metadata_params = name})(s, x)
            .first;
      };
      const Tensor x = normal({4, 4});
      nnx::Rngs rngs(0);
      bridge::ToNNX wrapped(model, rngs);
      wrapped.lazy_init(x);
      expect_same_specs(wrapped, linen::init(model, Key(0), x), transformation);
    }
  }
}

struct Annotated {
  nnx::Linear linear;
  nnx::Param alias;
  explicit Annotated(nnx::Rngs& rngs)
      : linear(4, 4, {.kernel_metadata = {{"out_sharding", AxisNames{"data", "model"}}}}, rngs),
        alias(random::normal(rngs.params(), {4, 2}),
              Metadata{{"out_sharding", AxisNames{"mlp", "embed"}}, {"sharding_rules", rules()}}) {}
  LINNET_FIELDS(linear, alias)
  Tensor operator()(const Tensor& x) { return matmul(linear(x), alias); }
};

TEST(BridgePartitioning, S_214_law_objects_as_functional_models) {
  nnx::Rngs rngs(0);
  Annotated plain(rngs);
  expect_same_specs(plain, linen::init(bridge::to_linen<Annotated>(), Key(0), normal({2, 4})),
                    "plain");
  for (const int64_t axis : {0, 1, -1}) {
    const auto make =
        nnx::vmap([](nnx::Rngs& r) { return Annotated(r).linear; },
                  {.out_axes = {axis}, .transform_metadata = {{"partition_name", "layers"}}});
    nnx::Linear stacked = nnx::split_rngs({.splits = 3}, make)(rngs);
    expect_same_specs(stacked, bridge::variables(stacked), "vmap");
  }
}

}  // namespace
}  // namespace linnet::bridge_tests::partitioning_test
