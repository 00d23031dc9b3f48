// Natural logical names of layers: a table of rules alone says how a model is divided.
#include "linnet/layers/axis_names.h"

#include "linnet/linen/partitioning.h"
#include "linnet/linen/tabulate.h"
#include "linnet/linen/transforms.h"
#include "linnet/nnx/layers_lora.h"
#include "linnet/nnx/partitioning.h"
#include "tests/modules/partitioning_support.h"

namespace linnet::axis_names_test {
namespace {

using linen::Scope;
using test::expect_facts;
using Expected = std::map<std::string, PartitionSpec>;

/// Everything that is wide over one axis of the mesh, features over the other.
const AxisRules kRules{{{"vocab", "model"},
                        {"mlp", "model"},
                        {"heads", "model"},
                        {"conv_out", "model"},
                        {"embed", "data"},
                        {"kv", kNone}}};

Tensor type(const Shape& shape, DType dtype = DType::kF32) {
  return abstract({dtype, shape, false, default_device()});
}

/// The same model in both APIs, without any annotation.
struct Functional {
  Tensor operator()(Scope& s, const Tensor& tokens, const Tensor& picture) const {
    Tensor h = s("embed", linen::Embed{.num_embeddings = 16, .features = 8}, tokens);
    h = s("norm", linen::LayerNorm{}, h);
    h = s("attention", linen::SelfAttention{.heads = 4}, h);
    h = s("up", linen::Dense{.features = 32}, h);
    h = s("down", linen::Dense{.features = 8, .use_bias = false}, relu(h));
    Tensor p = s("conv", linen::Conv{.features = 4, .kernel = {3, 3}}, picture);
    p = s("statistics", linen::BatchNorm{.use_running_average = false}, p);
    return sum(h) + sum(p) + sum(s.param("shift", init::zeros(), {3}, DType::kF32));
  }
};
struct Stateful {
  nnx::Embed embed;
  nnx::LayerNorm norm;
  nnx::SelfAttention attention;
  nnx::Linear up, down;
  nnx::Conv conv;
  nnx::BatchNorm statistics;
  nnx::Param shift;
  explicit Stateful(nnx::Rngs& rngs)
      : embed(16, 8, rngs),
        norm(8, rngs),
        attention(8, 4, rngs),
        up(8, 32, rngs),
        down(32, 8, {.use_bias = false}, rngs),
        conv(3, 4, {3, 3}, rngs),
        statistics(4, rngs),
        shift(zeros({3})) {}
  LINNET_FIELDS(embed, norm, attention, up, down, conv, statistics, shift)
};

const Expected kParameters{{"embed/embedding", P("model", "data")},
                           {"norm/scale", P(kNone)},
                           {"norm/bias", P(kNone)},
                           {"attention/query/kernel", P("data", "model", kNone)},
                           {"attention/query/bias", P("model", kNone)},
                           {"attention/key/kernel", P("data", "model", kNone)},
                           {"attention/key/bias", P("model", kNone)},
                           {"attention/value/kernel", P("data", "model", kNone)},
                           {"attention/value/bias", P("model", kNone)},
                           {"attention/out/kernel", P("model", kNone, "data")},
                           {"attention/out/bias", P("data")},
                           {"up/kernel", P("data", "model")},
                           {"up/bias", P("model")},
                           {"down/kernel", P("data", "model")},
                           {"conv/kernel", P(kNone, kNone, kNone, "model")},
                           {"conv/bias", P("model")},
                           {"statistics/scale", P(kNone)},
                           {"statistics/bias", P(kNone)},
                           {"shift", P()}};

TEST(AxisNames, S_211_rules_alone_divide_a_functional_model) {
  const auto specs = linen::specs_by_rules(kRules, Functional{}, Key(0), type({2, 5}, DType::kI32),
                                           type({2, 8, 8, 3}));
  Expected expected;
  for (const auto& [path, spec] : kParameters) expected.emplace("params/" + path, spec);
  expected.emplace("batch_stats/statistics/mean", P(kNone));
  expected.emplace("batch_stats/statistics/var", P(kNone));
  EXPECT_EQ(specs, expected);
}

TEST(AxisNames, S_211_rules_alone_divide_an_object_model) {
  nnx::Rngs rngs(0);
  const Stateful model(rngs);
  Expected expected = kParameters;
  expected.emplace("statistics/mean", P(kNone));
  expected.emplace("statistics/var", P(kNone));
  EXPECT_EQ(nnx::specs_by_rules(kRules, model), expected);
  const auto abstract_model = eval_shape([] {
    nnx::Rngs inner(0);
    return Stateful(inner);
  });
  EXPECT_EQ(nnx::specs_by_rules(kRules, abstract_model), expected) << "types are enough";
  // The specs fit: each variable has shards of it.
  const Mesh mesh = test::mesh24();
  const nnx::State state = nnx::state(model);
  for (const auto& [path, leaf] : state.entries()) {
    const NamedSharding sharding(mesh, expected.at(tree::to_string(path)));
    EXPECT_NO_THROW((void)sharding.shard_shape(leaf.value().shape())) << tree::to_string(path);
  }
  EXPECT_EQ(NamedSharding(mesh, expected.at("up/kernel")).shard_shape({8, 32}), (Shape{4, 8}));
}

TEST(AxisNames, S_211_without_rules_everything_is_whole) {
  nnx::Rngs rngs(0);
  const Stateful model(rngs);
  for (const auto& [path, spec] : nnx::specs_by_rules({}, model))
    EXPECT_EQ(spec.trimmed(), P()) << path;
  // The order of the rules decides who has an axis.
  const nnx::Linear layer(4, 8, rngs);
  const AxisRules rules{{{"mlp", "model"}, {"embed", "model"}, {"embed", "data"}}};
  EXPECT_EQ(nnx::specs_by_rules(rules, layer).at("kernel"), P("data", "model"));
  const AxisRules both{{{"embed", axes("model", "data")}, {"mlp", "model"}}};
  EXPECT_EQ(nnx::specs_by_rules(both, layer).at("kernel"), P(axes("model", "data"), kNone));
}

TEST(AxisNames, S_211_annotations_win_over_natural_names) {
  const auto init = init::lecun_normal();
  struct Model {
    linen::ParamInit up, down, other;
    Tensor operator()(Scope& s, const Tensor& x) const {
      const Tensor h = s("up", linen::Dense{.features = 8, .kernel_init = up}, x);
      const Tensor y = s("down", linen::Dense{.features = 4, .kernel_init = down}, h);
      return s("other", linen::Dense{.features = 4, .kernel_init = other}, y);
    }
  };
  const auto specs = linen::specs_by_rules(
      kRules,
      Model{linen::with_partitioning(init, {"model", kNone}),
            linen::with_logical_partitioning(init, {"mlp", "embed"}),
            linen::with_logical_partitioning(init, {"mlp", "embed"}, AxisRules{{{"mlp", "data"}}})},
      Key(0), type({2, 4}));
  EXPECT_EQ(specs, (Expected{{"params/up/kernel", P("model", kNone)},
                             {"params/up/bias", P("model")},
                             {"params/down/kernel", P("model", "data")},
                             {"params/down/bias", P("model")},
                             {"params/other/kernel", P("data", kNone)},
                             {"params/other/bias", P("model")}}));
  nnx::Rngs rngs(0);
  const nnx::Linear layer(4, 8, {.kernel_metadata = {{"out_sharding", AxisNames{"mlp", "x"}}}},
                          rngs);
  EXPECT_EQ(nnx::specs_by_rules(kRules, layer),
            (Expected{{"kernel", P("model", "x")}, {"bias", P("model")}}));
  const nnx::Linear own(4, 8,
                        {.kernel_metadata = {{"out_sharding", AxisNames{"rows", kNone}},
                                             {"sharding_rules", AxisRules{{{"rows", "data"}}}}}},
                        rngs);
  EXPECT_EQ(nnx::specs_by_rules(kRules, own).at("kernel"), P("data", kNone));
}

TEST(AxisNames, S_211_layers_whose_dimensions_mean_what_the_user_says_are_whole) {
  struct Model {
    Tensor operator()(Scope& s, const Tensor& x) const {
      const Tensor h = s("general", linen::DenseGeneral{.features = {2, 3}}, x);
      return s("einsum", linen::Einsum{.shape = {2, 3, 4}, .equation = "bij,ijk->bk"}, h);
    }
  };
  for (const auto& [path, spec] : linen::specs_by_rules(kRules, Model{}, Key(0), type({2, 4})))
    EXPECT_EQ(spec, P()) << path;
  nnx::Rngs rngs(0);
  const nnx::LinearGeneral general({4}, {2, 3}, rngs);
  EXPECT_EQ(nnx::specs_by_rules(kRules, general), (Expected{{"kernel", P()}, {"bias", P()}}));
  EXPECT_TRUE(layers::natural_axis_names("DenseGeneral").empty());
  EXPECT_TRUE(layers::natural_axis_names("NoLayer").empty());
}

/// Two layers over a batch of models, and one in a loop.
TEST(AxisNames, S_211_stacked_layers_have_their_names_behind_the_new_axis) {
  const linen::VmapOptions stacked{.variable_axes = {{"params", 0}},
                                   .split_rngs = {{"params", true}}};
  struct Model {
    linen::VmapOptions stacked;
    Tensor operator()(Scope& s, const Tensor& x) const {
      const Tensor h = s("mapped", linen::vmap(linen::Dense{.features = 4}, stacked), x);
      const auto [last, none] =
          s("loop",
            linen::scan(
                [](Scope& inner, const Tensor& y) {
                  return std::make_pair(inner("dense", linen::Dense{.features = 4}, y),
                                        std::tuple<>());
                },
                {.variable_axes = {{"params", 0}}, .split_rngs = {{"params", true}}, .length = 3}),
            h);
      return s("again", linen::remat(linen::Dense{.features = 4}), last);
    }
  };
  EXPECT_EQ(linen::specs_by_rules(kRules, Model{stacked}, Key(0), type({2, 4})),
            (Expected{{"params/mapped/kernel", P(kNone, "data", "model")},
                      {"params/mapped/bias", P(kNone, "model")},
                      {"params/loop/dense/kernel", P(kNone, "data", "model")},
                      {"params/loop/dense/bias", P(kNone, "model")},
                      {"params/again/kernel", P("data", "model")},
                      {"params/again/bias", P("model")}}));
  nnx::Rngs rngs(0);
  const auto many = nnx::split_rngs(
      {.splits = 3}, nnx::vmap([](nnx::Rngs& each) { return nnx::Linear(4, 4, each); }))(rngs);
  EXPECT_EQ(nnx::specs_by_rules(kRules, many),
            (Expected{{"kernel", P(kNone, "data", "model")}, {"bias", P(kNone, "model")}}));
}

TEST(AxisNames, S_211_recurrent_layers_and_low_rank_ones) {
  struct Model {
    Tensor operator()(Scope& s, const Tensor& x) const {
      const Tensor h = s("gru", linen::RNN{linen::GRUCell{.features = 8}}, x);
      return s("lstm", linen::RNN{linen::OptimizedLSTMCell{.features = 8}}, h);
    }
  };
  const auto specs = linen::specs_by_rules(kRules, Model{}, Key(0), type({2, 5, 4}));
  EXPECT_EQ(specs.at("params/gru/cell/ir/kernel"), P("data", "model"));
  EXPECT_EQ(specs.at("params/lstm/cell/hf/kernel"), P("data", "model"));
  EXPECT_EQ(specs.at("params/lstm/cell/hf/bias"), P("model"));
  nnx::Rngs rngs(0);
  const nnx::RNN lstm(nnx::LSTMCell(4, 8, rngs));
  const auto object = nnx::specs_by_rules(kRules, lstm);
  EXPECT_EQ(object.at("cell/ii/kernel"), P("data", "model"));
  EXPECT_EQ(object.at("cell/hf/bias"), P("model"));
  const nnx::LoRALinear adapted(4, 8, 2, rngs);
  EXPECT_EQ(nnx::specs_by_rules(kRules, adapted), (Expected{{"kernel", P("data", "model")},
                                                            {"bias", P("model")},
                                                            {"lora/lora_a", P("data", kNone)},
                                                            {"lora/lora_b", P(kNone, "model")}}));
}

}  // namespace
}  // namespace linnet::axis_names_test
