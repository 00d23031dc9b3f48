// Object modules as functional ones (inventory section 7).
#include <algorithm>

#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"

namespace linnet::bridge_tests::to_linen_test {
namespace {

using bridge::to_linen;
using bridge::to_linen_with;
using linen::Variables;

/// The keys that the constructor and the call saw.
struct KeyProbe {
  nnx::Param key;
  nnx::Rngs rngs;
  explicit KeyProbe(nnx::Rngs& r) : key(r.params().data().astype(DType::kF32)), rngs(r.fork()) {}
  LINNET_FIELDS(key, rngs)
  Tensor operator()(const Tensor& x) { return x + rngs.dropout().data()[0].astype(DType::kF32); }
};

struct LoRAPair {
  nnx::Param kernel;
  nnx::LoRAParam lora_a;
  nnx::BatchStat mean;
  explicit LoRAPair(nnx::Rngs& rngs)
      : kernel(random::normal(rngs.params(), {2, 2})),
        lora_a(random::normal(rngs.params(), {2, 1})),
        mean(zeros({2})) {}
  LINNET_FIELDS(kernel, lora_a, mean)
  Tensor operator()(const Tensor& x) const { return matmul(x, kernel) + mean.value(); }
};

struct NoRngs {
  nnx::Param w;
  explicit NoRngs(int64_t n) : w(ones({n})) {}
  LINNET_FIELDS(w)
  Tensor operator()(const Tensor& x) const { return x * w.value(); }
};

struct Late {
  nnx::Param w;
  std::optional<nnx::Intermediate> seen;
  explicit Late(nnx::Rngs&) : w(ones({2})) {}
  LINNET_FIELDS(w, seen)
  Tensor operator()(const Tensor& x, bool record) {
    if (record) seen.emplace(sum(x));
    return x * w.value();
  }
};

bool has_nnx_and(const Variables& vars, std::vector<std::string> others) {
  others.push_back("nnx");
  std::sort(others.begin(), others.end());
  return vars.keys() == others;
}

TEST(BridgeToLinen, B_079_B_082_B_097_DocumentationExample) {
  const Tensor x = normal({1, 32});
  const auto model = to_linen<nnx::Linear>(32, 64);
  const auto [y, vars] = linen::init_with_output(model, Key(0), x);
  EXPECT_EQ(y.shape(), Shape({1, 64}));
  EXPECT_EQ(vars["params"]["kernel"].shape(), Shape({32, 64}));
  EXPECT_TRUE(has_nnx_and(vars, {"params"}));
  const auto entry = std::dynamic_pointer_cast<const nnx::graph::NodeDef::Definition>(
      vars["nnx"]["graphdef"].fixed());
  ASSERT_TRUE(entry);
  EXPECT_EQ(*entry->type, typeid(nnx::Linear));
  expect_equal(linen::apply(model, vars, x), y);
}

TEST(BridgeToLinen, B_080_BuiltOncePerInit) {
  int built = 0;
  const bridge::ToLinen<NoRngs> model([&](nnx::Rngs&) {
    ++built;
    return NoRngs(2);
  });
  EXPECT_EQ(built, 0);
  const Variables vars = linen::init(model, Key(0), ones({2}));
  EXPECT_EQ(built, 1);
  linen::apply(model, vars, ones({2}));
  EXPECT_EQ(built, 1);
}

TEST(BridgeToLinen, B_081_WithAndWithoutRngs) {
  const Variables vars = linen::init(to_linen<NoRngs>(3), Key(0), ones({3}));
  EXPECT_EQ(values(vars["params"]["w"]), (std::vector<float>{1, 1, 1}));
  const auto conv =
      to_linen<nnx::Conv>(1, 2, nnx::PerDimension{3, 3}, nnx::ConvOptions{.use_bias = false});
  EXPECT_EQ(linen::init(conv, Key(0), ones({1, 4, 4, 1}))["params"]["kernel"].shape(),
            Shape({3, 3, 1, 2}));
  struct RngsFirst {
    nnx::Param w;
    RngsFirst(nnx::Rngs& rngs, int64_t n) : w(random::normal(rngs.params(), {n})) {}
    LINNET_FIELDS(w)
    Tensor operator()(const Tensor& x) const { return x + w.value(); }
  };
  EXPECT_EQ(
      linen::init(to_linen<RngsFirst>(bridge::kRngs, 4), Key(0), ones({4}))["params"]["w"].shape(),
      Shape({4}));
}

TEST(BridgeToLinen, B_083_B_096_NamesInsideFunctionalModules) {
  struct Outer {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      const Tensor h = s(to_linen<nnx::Linear>(3, 4), x);
      const Tensor g = s(to_linen<nnx::Linear>(4, 5), h);
      return s("named", to_linen<nnx::Linear>(5, 2), g);
    }
  };
  const Variables vars = linen::init(Outer{}, Key(0), ones({1, 3}));
  EXPECT_EQ(vars["params"].keys(), (std::vector<std::string>{"ToLinen_0", "ToLinen_1", "named"}));
  EXPECT_TRUE(vars["nnx"]["ToLinen_0"]["graphdef"].fixed());
  EXPECT_EQ(linen::apply(Outer{}, vars, ones({1, 3})).shape(), Shape({1, 2}));
}

TEST(BridgeToLinen, B_085_B_086_B_087_Boxes) {
  const nnx::LinearOptions annotated{.kernel_metadata = {{"out_sharding", AxisNames{"in", "out"}}}};
  const auto init = [&](bridge::ToLinenOptions options) {
    return linen::init(to_linen_with<nnx::Linear>(std::move(options), 2, 3, annotated), Key(0),
                       ones({1, 2}));
  };
  const Variables vars = init({});
  EXPECT_EQ(vars["params"]["kernel"].box()->kind, "NNXMeta");
  EXPECT_EQ(linen::get_partition_spec(vars).at("params/kernel"), P("in", "out"));
  EXPECT_FALSE(vars["params"]["bias"].box());
  EXPECT_EQ(init({.metadata_type = "MyMeta"})["params"]["kernel"].box()->kind, "MyMeta");
  EXPECT_FALSE(init({.keep_metadata = false})["params"]["kernel"].box());
  const Variables own = init({.metadata_fn = [](const nnx::Variable& v) {
    return linen::partitioned(v.value(), {"mine"});
  }});
  EXPECT_EQ(own["params"]["bias"].box()->kind, "Partitioned");
}

TEST(BridgeToLinen, B_088_B_090_B_112_KeysOfTheScope) {
  struct Outer {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      return s("a", to_linen<KeyProbe>(), x) + s("b", to_linen<KeyProbe>(), x);
    }
  };
  struct Plain {
    Tensor* out;
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      *out = s.make_rng("params").data();
      return x;
    }
  };
  struct PlainOuter {
    Tensor* out;
    Tensor operator()(linen::Scope& s, const Tensor& x) const { return s("a", Plain{out}, x); }
  };
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const Variables vars = linen::init(Outer{}, both, ones({1}));
  EXPECT_TRUE(differ(vars["params"]["a"]["key"], vars["params"]["b"]["key"]));
  Tensor key;
  linen::init(PlainOuter{&key}, both, ones({1}));
  expect_equal(vars["params"]["a"]["key"],
               random::fold_in(Key(key), 0u).data().astype(DType::kF32));
  EXPECT_THROW(linen::init(Outer{}, Key(0), ones({1})), ModuleError);
}

TEST(BridgeToLinen, B_089_B_107_B_108_StateBeforeTheRun) {
  const Tensor x = normal({3, 2});
  const auto model = to_linen<StatefulCounter>();
  const Variables vars = linen::init(model, Key(0), x);
  EXPECT_EQ(Tensor(vars["Count"]["count"]).item<int>(), 0);
  const auto [out, updates] = linen::apply_with({.mutate = {"Count"}}, model, vars, x);
  EXPECT_EQ(updates.keys(), std::vector<std::string>{"Count"});
  EXPECT_EQ(Tensor(updates["Count"]["count"]).item<int>(), 1);
  const auto [again, twice] = linen::apply_with({.mutate = {"Count"}}, model, vars | updates, x);
  EXPECT_EQ(Tensor(twice["Count"]["count"]).item<int>(), 2);
  expect_equal(out, again);
  EXPECT_NO_THROW(linen::apply(model, vars, x));
}

TEST(BridgeToLinen, B_091_B_092_B_093_OneCollectionPerExactType) {
  const Variables vars = linen::init(to_linen<LoRAPair>(), Key(0), ones({1, 2}));
  EXPECT_TRUE(has_nnx_and(vars, {"LoRAParam", "batch_stats", "params"}));
  EXPECT_EQ(vars["params"].keys(), std::vector<std::string>{"kernel"});
  EXPECT_EQ(vars["LoRAParam"].keys(), std::vector<std::string>{"lora_a"});
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const Variables dropped = linen::init(to_linen<StatefulDropout>(4, 3, 0.5), both, ones({1, 4}));
  EXPECT_TRUE(has_nnx_and(dropped, {"params"}));
  EXPECT_EQ(dropped["params"].keys(), std::vector<std::string>{"linear"});
}

TEST(BridgeToLinen, B_094_B_095_GraphdefIsStatic) {
  const auto model = to_linen<nnx::Linear>(2, 3);
  const Variables a = linen::init(model, Key(0), ones({1, 2})),
                  b = linen::init(to_linen<nnx::Linear>(2, 3), Key(1), ones({1, 2}));
  EXPECT_EQ(tree::leaves(a).size(), 2u);
  EXPECT_EQ(tree::structure(a), tree::structure(b));
  EXPECT_TRUE(a["nnx"]["graphdef"].fixed()->equals(*b["nnx"]["graphdef"].fixed()));
  const Variables doubled = tree::map(a, [](const Tensor& t) { return t * 2; });
  EXPECT_TRUE(doubled["nnx"]["graphdef"].fixed()->equals(*a["nnx"]["graphdef"].fixed()));
  const auto loss = [&](const Variables& v) { return sum(linen::apply(model, v, ones({1, 2}))); };
  const Variables gradient = grad(loss)(a);
  expect_near(gradient["params"]["bias"], ones({3}));
  const auto compiled = jit([&](const Variables& v) { return loss(v); });
  expect_near(compiled(a), loss(a));
  EXPECT_EQ(
      linen::init(to_linen_with<nnx::Linear>({.store_graphdef = false}, 2, 3), Key(0), ones({1, 2}))
          .keys(),
      std::vector<std::string>{"params"});
}

TEST(BridgeToLinen, B_099_B_100_BothWaysToRebuild) {
  const Tensor x = normal({2, 3});
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const auto model = to_linen<StatefulDropout>(3, 4, 0.5);
  const Variables vars = linen::init(model, both, x);
  Variables without;
  without.at_path({"params"}) = vars["params"];
  const linen::ApplyOptions options{.rngs = {{"dropout", Key(5)}}};
  expect_equal(linen::apply_with(options, model, vars, x).first,
               linen::apply_with(options, model, without, x).first);
  // Without a stream of that name the keys come from `default`, which the constructor draws from
  // for parameters too.
  EXPECT_EQ(linen::apply(model, vars, x).shape(), linen::apply(model, without, x).shape());
}

TEST(BridgeToLinen, B_101_B_111_RngsOfApply) {
  const Tensor x = ones({4, 3});
  const linen::RngStreams both{{"params", Key(0)}, {"dropout", Key(1)}};
  const auto model = to_linen<StatefulDropout>(3, 16, 0.5);
  const Variables vars = linen::init(model, both, x);
  EXPECT_NO_THROW(linen::apply(model, vars, x));
  const auto run = [&](int64_t seed) {
    return linen::apply_with({.rngs = {{"dropout", Key(seed)}}}, model, vars, x).first;
  };
  expect_equal(run(2), run(2));
  EXPECT_TRUE(differ(run(2), run(3)));
}

TEST(BridgeToLinen, B_102_BoxesAreOpened) {
  const nnx::LinearOptions annotated{.kernel_metadata = {{"out_sharding", AxisNames{"in", "out"}}}};
  const auto model = to_linen<nnx::Linear>(2, 3, annotated);
  const Variables vars = linen::init(model, Key(0), ones({1, 2}));
  expect_equal(linen::apply(model, linen::unbox(vars), ones({1, 2})),
               linen::apply(model, vars, ones({1, 2})));
  const auto updates =
      linen::apply_with({.mutate = {"params"}}, model, linen::unbox(vars), ones({1, 2})).second;
  EXPECT_EQ(updates["params"]["kernel"].box(), vars["params"]["kernel"].box());
}

TEST(BridgeToLinen, B_103_LaterCollectionsWin) {
  const auto model = to_linen_with<NoRngs>({.store_graphdef = false}, 2);
  Variables vars;
  vars.at_path({"params", "w"}) = Variables(ones({2}));
  vars.at_path({"zz_late", "w"}) = Variables(zeros({2}));
  EXPECT_EQ(values(linen::apply(model, vars, ones({2}))), (std::vector<float>{0, 0}));
}

TEST(BridgeToLinen, B_104_B_105_B_106_PathsThatDoNotFit) {
  const auto model = to_linen<nnx::Linear>(2, 3);
  const Variables vars = linen::init(model, Key(0), ones({1, 2}));
  Variables extra = vars, missing = vars;
  extra.at_path({"params", "deep", "other"}) = Variables(ones({1}));
  missing.at_path({"params"}).children().erase("bias");
  EXPECT_NE(thrown<ModuleError>([&] {
              linen::apply(model, extra, ones({1, 2}));
            }).find("deep/other"),
            std::string::npos);
  EXPECT_NE(thrown<ModuleError>([&] {
              linen::apply(model, missing, ones({1, 2}));
            }).find("bias"),
            std::string::npos);
  extra.children().erase("nnx");
  missing.children().erase("nnx");
  EXPECT_NE(thrown<ModuleError>([&] {
              linen::apply(model, extra, ones({1, 2}));
            }).find("deep/other"),
            std::string::npos);
  expect_near(linen::apply(model, missing, ones({1, 2})),
              sum(vars["params"]["kernel"].value(), Axes{0}).reshape({1, 3}));
}

TEST(BridgeToLinen, B_109_B_110_VariablesMadeByTheCall) {
  const auto model = to_linen<Late>();
  const Tensor x = ones({2});
  const Variables vars = linen::init(model, Key(0), x, false);
  EXPECT_TRUE(has_nnx_and(vars, {"params"}));
  const auto updates =
      linen::apply_with({.mutate = {"intermediates"}}, model, vars, x, true).second;
  EXPECT_EQ(Tensor(updates["intermediates"]["seen"]).item<float>(), 2);
  // Handed on, what was sown is there again; the definition in 'nnx' need not know of it.
  const auto again =
      linen::apply_with({.mutate = {"intermediates"}}, model, vars | updates, x, false).second;
  EXPECT_EQ(Tensor(again["intermediates"]["seen"]).item<float>(), 2);
  EXPECT_NO_THROW(linen::apply(model, vars, x, false));
  const auto both =
      linen::apply_with({.mutate = {"intermediates", "nnx"}}, model, vars, x, true).second;
  EXPECT_FALSE(both["nnx"]["graphdef"].fixed()->equals(*vars["nnx"]["graphdef"].fixed()));
  EXPECT_NO_THROW(linen::apply(model, vars | both, x, false));
}

TEST(BridgeToLinen, B_098_RebuiltLoadedRunAndWrittenBack) {
  const auto model = to_linen<StatefulCounter>();
  const Tensor x = ones({1, 2});
  for (const bool with_graphdef : {true, false}) {
    Variables vars = linen::init(model, Key(0), x);
    vars.at_path({"params", "bias"}) = Variables(tensor({5.f, 7.f}));
    vars.at_path({"Count", "count"}) = Variables(scalar_integer(3, DType::kI32));
    if (!with_graphdef) vars.children().erase("nnx");
    const auto [y, updates] = linen::apply_with({.mutate = {"Count"}}, model, vars, x);
    EXPECT_EQ(values(y), (std::vector<float>{6, 8}));
    EXPECT_EQ(updates.keys(), std::vector<std::string>{"Count"});
    EXPECT_EQ(updates["Count"]["count"].value().item<int>(), 4);
    EXPECT_EQ(vars["Count"]["count"].value().item<int>(), 3);
  }
}

TEST(BridgeToLinen, B_113_RunningAverages) {
  const Tensor x = normal({16, 3}) * 2 + 1;
  const auto model = to_linen<nnx::BatchNorm>(3, nnx::BatchNormOptions{.momentum = 0.9});
  const Variables vars = linen::init(model, Key(0), x, false);
  EXPECT_EQ(values(vars["batch_stats"]["mean"]), (std::vector<float>{0, 0, 0}));
  const auto updates = linen::apply_with({.mutate = {"batch_stats"}}, model, vars, x, false).second;
  expect_near(updates["batch_stats"]["mean"], mean(x, Axes{0}) * 0.1f);
  EXPECT_EQ(updates.keys(), std::vector<std::string>{"batch_stats"});
  EXPECT_EQ(linen::apply_with({.mutate = {"params"}}, model, vars, x, false).second.keys(),
            std::vector<std::string>{"params"});
}

TEST(BridgeToLinen, B_084_ConstructorArguments) {
  const auto model = to_linen<nnx::BatchNorm>(3, nnx::BatchNormOptions{.momentum = 0.75});
  EXPECT_EQ(model.argument<nnx::BatchNormOptions>().momentum, 0.75);
  EXPECT_EQ(model.argument<int>(), 3);
  EXPECT_THROW(model.argument<std::string>(), ModuleError);
  const bridge::ToLinen<NoRngs> made([](nnx::Rngs&) { return NoRngs(2); });
  EXPECT_THROW(made.argument<int>(), ModuleError);
}

template <class M, class F>
concept HasMethod = requires(const M& model, F f) { model.method(f); };

TEST(BridgeToLinen, B_116_WhatIsNoMethodDoesNotCompile) {
  using Model = bridge::ToLinen<nnx::Embed>;
  static_assert(HasMethod<Model, decltype(&nnx::Embed::attend)>);
  static_assert(HasMethod<Model, Tensor (*)(nnx::Embed&, const Tensor&)>);
  static_assert(!HasMethod<Model, int> && !HasMethod<Model, const char*>);
  static_assert(!HasMethod<Model, decltype(&nnx::Embed::embedding)>);
}

TEST(BridgeToLinen, B_118_B_119_B_120_ClassesWithDefaults) {
  const Tensor x = normal({16, 3});
  bridge::ToLinenOptions options;
  options.store_graphdef = false;
  options.skip_rng = true;
  const auto norm =
      bridge::to_linen_class<nnx::BatchNorm>(options, nnx::BatchNormOptions{.momentum = 0.75});
  const auto plain = norm(3);
  static_assert(std::is_same_v<decltype(plain), const bridge::ToLinen<nnx::BatchNorm>>);
  EXPECT_EQ(plain.argument<nnx::BatchNormOptions>().momentum, 0.75);
  EXPECT_FALSE(plain.options().store_graphdef);
  // What is given wins, also where it is the ordinary default.
  EXPECT_EQ(norm(3, nnx::BatchNormOptions{}).argument<nnx::BatchNormOptions>().momentum,
            nnx::BatchNormOptions{}.momentum);
  EXPECT_TRUE(norm.with({}, 3).options().store_graphdef);
  EXPECT_FALSE(norm.with({}, 3).options().skip_rng);
  bridge::ToLinenOptions named = options;
  named.name = "norm";
  named.skip_rng = false;
  struct Outer {
    bridge::ToLinen<nnx::BatchNorm> norm;
    Tensor operator()(linen::Scope& s, const Tensor& z) const { return s(norm, z, false); }
  };
  const Variables vars = linen::init(Outer{norm.with(named, 3)}, Key(0), x);
  EXPECT_EQ(vars["batch_stats"].keys(), std::vector<std::string>{"norm"});
}

TEST(BridgeToLinen, B_114_B_115_OtherMethods) {
  const auto embed = to_linen<nnx::Embed>(10, 4);
  const Tensor ids = tensor<int32_t>({1, 2, 3});
  const Variables vars = linen::init(embed, Key(0), ids);
  const Tensor z = normal({2, 4});
  const Tensor logits = linen::apply(embed.method(&nnx::Embed::attend), vars, z);
  expect_near(logits, matmul(z, vars["params"]["embedding"].value().transpose()));
  const auto twice = [](nnx::Embed& e, const Tensor& i) { return e(i) * 2; };
  expect_near(linen::apply(embed.method(twice), vars, ids), linen::apply(embed, vars, ids) * 2);
  struct Tied {
    Tensor operator()(linen::Scope& s, const Tensor& i) const {
      const auto embedding = to_linen<nnx::Embed>(10, 4);
      linen::Scope child = s.child("embedding");
      const Tensor h = linen::Scope::call(child, embedding, i);
      return linen::Scope::call(child, embedding.method(&nnx::Embed::attend), h);
    }
  };
  const Variables tied = linen::init(Tied{}, Key(0), ids);
  const Tensor table = tied["params"]["embedding"]["embedding"];
  expect_near(linen::apply(Tied{}, tied, ids), matmul(take(table, ids, 0), table.transpose()));
}

TEST(BridgeToLinen, B_040_SameTreeWrappedWholeOrInPart) {
  struct Whole {
    nnx::Linear first, second;
    explicit Whole(nnx::Rngs& rngs) : first(3, 4, rngs), second(4, 2, rngs) {}
    LINNET_FIELDS(first, second)
    Tensor operator()(const Tensor& x) const { return second(first(x)); }
  };
  struct Part {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      return s("second", to_linen<nnx::Linear>(4, 2), s("first", to_linen<nnx::Linear>(3, 4), x));
    }
  };
  const Variables whole = linen::init(to_linen<Whole>(), Key(0), ones({1, 3}));
  const Variables part = linen::init(Part{}, Key(0), ones({1, 3}));
  EXPECT_EQ(tree::structure(whole["params"]), tree::structure(part["params"]));
}

TEST(BridgeToLinen, PlainTensorsAreConstants) {
  nnx::ConvOptions masked{.use_bias = false};
  masked.mask = zeros({3, 1, 2});
  const auto model = to_linen<nnx::Conv>(1, 2, nnx::PerDimension(3), masked);
  const Variables vars = linen::init(model, Key(0), ones({1, 4, 1}));
  EXPECT_EQ(vars.keys(), std::vector<std::string>{"params"});
  expect_equal(linen::apply(model, vars, ones({1, 4, 1})), zeros({1, 4, 2}));
  struct Changing {
    Tensor count = zeros({});
    LINNET_FIELDS(count)
    Tensor operator()(const Tensor& x) {
      count = count + 1;
      return x;
    }
  };
  const std::string text =
      thrown<ValueError>([] { linen::init(to_linen<Changing>(), Key(0), ones({1})); });
  EXPECT_NE(text.find("cannot infer collection"), std::string::npos);
}

/// A functional module inside whose variables the constructor makes.
struct MadeByConstructor {
  bridge::ToNNX<linen::Dense> dense;
  explicit MadeByConstructor(nnx::Rngs& rngs) : dense(linen::Dense{.features = 3}, rngs) {
    dense.lazy_init(zeros({1, 4}));
  }
  LINNET_FIELDS(dense)
  Tensor operator()(const Tensor& x) { return dense(x); }
};

TEST(BridgeToLinen, WrappersThatTheConstructorInitialisedKeepTheirVariables) {
  const Tensor x = ones({1, 4});
  const auto model = to_linen<MadeByConstructor>();
  const auto [y, vars] = linen::init_with_output(model, Key(0), x);
  expect_equal(y, linen::apply(model, vars, x));
  expect_equal(y, matmul(x, vars["params"]["dense"]["kernel"].value()));
}

struct CountingCalls {
  nnx::Linear linear;
  nnx::Intermediate count;
  explicit CountingCalls(nnx::Rngs& rngs) : linear(2, 2, rngs), count(zeros({})) {}
  LINNET_FIELDS(linear, count)
  Tensor operator()(const Tensor& x) {
    count = count.value() + 1;
    return linear(x);
  }
};

TEST(BridgeToLinen, IntermediatesOfTheConstructorNeedNotBeAmongTheVariables) {
  const Tensor x = ones({1, 2});
  for (const bool stored : {true, false}) {
    const auto model = to_linen_with<CountingCalls>({.store_graphdef = stored});
    const Variables vars = linen::init(model, Key(0), x);
    EXPECT_FALSE(vars.contains("intermediates"));
    const Tensor y = linen::apply(model, vars, x);
    for (int repeat = 0; repeat < 2; ++repeat) {
      const auto [z, updates] = linen::apply_with({.mutate = {"intermediates"}}, model, vars, x);
      expect_equal(y, z);
      EXPECT_EQ(updates["intermediates"]["count"].value().item<float>(), 1.f);
    }
  }
}

struct TwoDropouts {
  nnx::Dropout z, a;
  explicit TwoDropouts(nnx::Rngs& rngs) : z(.5, rngs), a(.5, rngs) {}
  LINNET_FIELDS(z, a)
  Tensor operator()(const Tensor& x) { return a(z(x) + 1); }
};
struct KeepsStreams {
  nnx::Rngs rngs;
  explicit KeepsStreams(nnx::Rngs& r) : rngs(r) {}
  LINNET_FIELDS(rngs)
  Tensor operator()(const Tensor& x) {
    return x * random::bernoulli(rngs.dropout(), .5, x.shape());
  }
};
struct SharesStream {
  nnx::Linear linear;
  nnx::Dropout dropout;
  explicit SharesStream(nnx::Rngs& rngs) : linear(8, 8, rngs), dropout(.5, rngs) {}
  LINNET_FIELDS(linear, dropout)
  Tensor operator()(const Tensor& x) { return dropout(x); }
};
/// As TwoDropouts, with members listed in another order than they are made.
struct ReversedDropouts {
  nnx::Dropout a, z;
  explicit ReversedDropouts(nnx::Rngs& rngs) : a(.5, rngs), z(.5, rngs) {
    a = nnx::Dropout(.5, rngs);
  }
  LINNET_FIELDS(z, a)
  Tensor operator()(const Tensor& x) { return a(z(x) + 1); }
};

template <class M>
std::vector<float> drawn(bool store_graphdef, const linen::RngStreams& rngs) {
  const auto model = to_linen_with<M>({.store_graphdef = store_graphdef});
  const Tensor x = ones({8});
  const Variables vars = linen::init(model, {{"params", Key(1)}, {"dropout", Key(2)}}, x);
  return values(linen::apply_with({.rngs = rngs}, model, vars, x).first);
}

// The numbers are those of Flax 0.12.8, which runs the constructor at every apply.
TEST(BridgeToLinen, B_099_StreamsAreAsTheConstructorForksThem) {
  using Row = std::vector<float>;
  const linen::RngStreams dropout = {{"dropout", Key(9)}};
  for (const bool stored : {true, false}) {
    EXPECT_EQ(drawn<TwoDropouts>(stored, dropout), (Row{0, 0, 2, 0, 6, 0, 0, 6})) << stored;
    EXPECT_EQ(drawn<KeepsStreams>(stored, dropout), (Row{1, 1, 1, 1, 1, 0, 0, 0})) << stored;
    EXPECT_EQ(drawn<SharesStream>(stored, {}), (Row{2, 2, 2, 2, 2, 0, 2, 2})) << stored;
  }
  EXPECT_EQ(drawn<ReversedDropouts>(true, dropout), drawn<ReversedDropouts>(false, dropout));
}

TEST(BridgeToLinen, StreamsAreNotComputedWithInitialParameters) {
  // The constructor is compiled for the random state alone: no normal numbers are drawn.
  const auto model = to_linen<SharesStream>();
  const Variables vars = linen::init(model, {{"params", Key(1)}, {"dropout", Key(2)}}, ones({8}));
  const uint64_t before = memory_stats().allocations;
  for (int i = 0; i < 3; ++i)
    linen::apply_with({.rngs = {{"dropout", Key(i)}}}, model, vars, ones({8}));
  EXPECT_LT(memory_stats().allocations - before, 1000u);
}

TEST(BridgeToLinen, B_081_B_083_SkipRngAndNameAreOptions) {
  struct Either {
    nnx::Param w;
    Either() : w(zeros({2})) {}
    explicit Either(nnx::Rngs& rngs) : w(random::normal(rngs.params(), {2})) {}
    LINNET_FIELDS(w)
    Tensor operator()(const Tensor& x) { return x + w.value(); }
  };
  const Variables vars = linen::init(to_linen_with<Either>({.skip_rng = true}), Key(0), ones({2}));
  EXPECT_EQ(values(vars["params"]["w"].value()), (std::vector<float>{0, 0}));
  const std::string text = thrown<ValueError>([] {
    linen::init(to_linen_with<nnx::Linear>({.skip_rng = true}, 2, 3), Key(0), ones({1, 2}));
  });
  EXPECT_NE(text.find("skip_rng"), std::string::npos) << text;

  struct Parent {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      return s(to_linen_with<nnx::Linear>({.name = "stem"}, 2, 3), x);
    }
  };
  EXPECT_EQ(linen::init(Parent{}, Key(0), ones({1, 2}))["params"].keys(),
            std::vector<std::string>{"stem"});
}

}  // namespace
}  // namespace linnet::bridge_tests::to_linen_test
