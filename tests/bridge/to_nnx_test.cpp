// Functional modules as objects (inventory section 6).
#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"

namespace linnet::bridge_tests::to_nnx_test {
namespace {

using bridge::ToNNX;

struct TwoMethods {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    return s("out", linen::Dense{.features = 2}, dot(s, x));
  }
  Tensor dot(linen::Scope& s, const Tensor& x) const {
    return s("hidden", linen::Dense{.features = 3}, x);
  }
  /// A method whose name the wrapper has too.
  Tensor rngs(linen::Scope& s, const Tensor& x) const {
    return x + s.param("rngs", init::ones(), {1});
  }
};

/// Shows the keys of a call.
struct ShowKeys {
  std::map<std::string, Tensor>* seen;
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    seen->clear();
    for (const std::string& name : s.rng_streams()) (*seen)[name] = s.make_rng(name).data();
    return x;
  }
};

Tensor path_key(const Key& key) {
  struct Show {
    Tensor* out;
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      *out = s.make_rng("params").data();
      return x;
    }
  };
  Tensor out;
  linen::apply_with({.rngs = key}, Show{&out}, {}, ones({1}));
  return out;
}

TEST(BridgeToNNX, B_041_B_044_B_045_B_046_DocumentationExample) {
  const Tensor x = normal({1, 32});
  ToNNX fresh(linen::Dense{.features = 64}, nnx::Rngs(0));
  EXPECT_TRUE(fresh.attributes().empty());
  auto model = ToNNX(linen::Dense{.features = 64}, nnx::Rngs(0)).lazy_init(x);
  EXPECT_EQ(model["kernel"].shape(), Shape({32, 64}));
  EXPECT_EQ(&model["kernel"].variable().type(), &nnx::Param::static_type());
  linen::Variables vars;
  vars.at_path({"params", "kernel"}) = linen::Variables(model["kernel"].value());
  vars.at_path({"params", "bias"}) = linen::Variables(model["bias"].value());
  expect_equal(model(x), linen::apply(linen::Dense{.features = 64}, vars, x));
  EXPECT_EQ(model.module().features, 64);
}

TEST(BridgeToNNX, B_076_TheModuleAndTheStreamsCanBeSeen) {
  ToNNX model(linen::Dense{.features = 2}, nnx::Rngs{{"params", Key(0)}, {"dropout", Key(1)}});
  EXPECT_EQ(model.module().features, 2);
  EXPECT_TRUE(model.rngs().contains("params"));
  EXPECT_TRUE(model.rngs().contains("dropout"));
  EXPECT_EQ(model.rngs().size(), 2u);
}

TEST(BridgeToNNX, B_042_B_061_AKeyIsTheStreamParams) {
  std::map<std::string, Tensor> seen;
  ToNNX model(ShowKeys{&seen}, Key(3));
  for (uint32_t i = 0; i < 2; ++i) {
    model(ones({1}));
    ASSERT_EQ(seen.size(), 1u);
    expect_equal(seen.at("params"), path_key(random::fold_in(Key(3), i)));
  }
  ToNNX without(ShowKeys{&seen});
  without(ones({1}));
  EXPECT_TRUE(seen.empty());
}

TEST(BridgeToNNX, B_043_RngsAreForked) {
  nnx::Rngs rngs{{"params", Key(0)}, {"dropout", Key(1)}};
  ToNNX first(linen::Dense{.features = 2}, rngs), second(linen::Dense{.features = 2}, rngs);
  EXPECT_EQ(rngs["params"].count().item<int>(), 2);
  EXPECT_EQ(rngs["dropout"].count().item<int>(), 2);
  EXPECT_EQ(first.rngs().names(), rngs.names());
  EXPECT_EQ(first.rngs()["params"].count().item<int>(), 0);
  expect_equal(first.rngs()["params"].key().data(), random::fold_in(Key(0), 0u).data());
  expect_equal(second.rngs()["dropout"].key().data(), random::fold_in(Key(1), 1u).data());
  const Tensor x = ones({1, 3});
  EXPECT_TRUE(differ(first.lazy_init(x)["kernel"], second.lazy_init(x)["kernel"]));
}

TEST(BridgeToNNX, B_047_B_048_InitialisingMode) {
  struct Sowing {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      s.sow("intermediates", "seen", x);
      return x * s.param("w", init::ones(), {1}) + (s.is_initializing() ? 10 : 0);
    }
  };
  ToNNX model(Sowing{}, nnx::Rngs(0));
  model.lazy_init(ones({1}));
  EXPECT_EQ(model.attributes().keys(), std::vector<std::string>{"w"});
  EXPECT_FALSE(model.initializing());
  EXPECT_EQ(values(model(ones({1}))), std::vector<float>{1});
  const bridge::detail::InitializingScope scope([&](tree::Visitor& v) { tree::visit(model, v); });
  EXPECT_EQ(values(model(ones({1}))), std::vector<float>{11});
}

TEST(BridgeToNNX, B_049_B_067_B_068_OtherMethods) {
  const Tensor x = normal({2, 4});
  ToNNX model(TwoMethods{}, nnx::Rngs(0));
  model.lazy_init_method(&TwoMethods::dot, x);
  EXPECT_EQ(model.attributes().keys(), std::vector<std::string>{"hidden"});
  expect_near(model.call_method({}, &TwoMethods::dot, x), matmul(x, model["hidden"]["kernel"]));
  const std::string text = thrown<ModuleError>([&] { model(x); });
  EXPECT_NE(text.find("ScopeParamNotFoundError"), std::string::npos);
  const auto free = [](const TwoMethods& m, linen::Scope& s, const Tensor& y) {
    return m.dot(s, y) * 2;
  };
  expect_near(model.call_method({}, free, x), matmul(x, model["hidden"]["kernel"]) * 2);
}

TEST(BridgeToNNX, B_050_WithoutLazyInit) {
  ToNNX model(linen::Dense{.features = 2}, nnx::Rngs(0));
  const std::string text = thrown<ModuleError>([&] { model(ones({1, 3})); });
  EXPECT_NE(text.find("ScopeCollectionNotFound"), std::string::npos);
  ToNNX dropout(linen::Dropout{.rate = 0.5, .deterministic = false}, nnx::Rngs(0));
  EXPECT_EQ(dropout(ones({8})).shape(), Shape({8}));
}

TEST(BridgeToNNX, B_051_B_073_NewAttributes) {
  struct Growing {
    Tensor operator()(linen::Scope& s, bool late) const {
      linen::ScopeVariable a = s.variable("cache", "a", [] { return zeros({}); });
      if (late) s.variable("cache", "b", [] { return ones({}); });
      if (!s.is_initializing() && s.is_mutable_collection("cache") && !late) a.set(a.value() + 1);
      return a.value() + (s.has_variable("cache", "b") ? s.get_variable("cache", "b") : zeros({}));
    }
  };
  ToNNX model(Growing{});
  model.lazy_init(false);
  EXPECT_EQ(model.attributes().keys(), std::vector<std::string>{"a"});
  model.call({.mutate = {"cache"}}, true);
  EXPECT_EQ(model.attributes().keys(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(model(false).item<float>(), 1);
  model.call({.mutate = {"cache"}}, false);
  EXPECT_EQ(model["b"].value().item<float>(), 1);
  EXPECT_EQ(model["a"].value().item<float>(), 1);
}

TEST(BridgeToNNX, B_052_LazyInitUnderVmap) {
  const auto make = [](const Tensor& key, const Tensor& x) {
    auto model = ToNNX(linen::Dense{.features = 3}, nnx::Rngs(Key(key))).lazy_init(x);
    return nnx::state(model, nnx::of_type<nnx::Param>());
  };
  const Tensor keys = random::split(Key(0), 5).data();
  const nnx::State stacked = vmap(make, {.in_axes = {0, kNone}})(keys, ones({2, 4}));
  EXPECT_EQ(stacked["kernel"].shape(), Shape({5, 4, 3}));
  EXPECT_EQ(stacked["bias"].shape(), Shape({5, 3}));
  expect_near(Tensor(stacked["kernel"])[3], make(keys[3], ones({2, 4}))["kernel"], 1e-6);
}

TEST(BridgeToNNX, B_053_B_057_B_058_LazyInitOfAnOuterModule) {
  nnx::Rngs rngs = two_streams();
  StatefulBlock model(5, 4, 0.5, rngs);
  const nnx::GraphDef before = nnx::graphdef(model);
  const Tensor linear = model.linear.kernel.value();
  StatefulBlock& same = bridge::lazy_init(model, normal({3, 5}));
  EXPECT_EQ(&same, &model);
  EXPECT_EQ(model.inner["dense"]["kernel"].shape(), Shape({4, 4}));
  EXPECT_EQ(model.linear.kernel.value().impl(), linear.impl());
  const nnx::GraphDef after = nnx::graphdef(model);
  EXPECT_FALSE(before == after);
  model(normal({3, 5}));
  EXPECT_TRUE(after == nnx::graphdef(model));
  EXPECT_EQ(model.inner.rngs()["dropout"].count().item<int>(), 2);
}

TEST(BridgeToNNX, B_055_FlagIsClearedOnErrors) {
  struct Throwing {
    ToNNX<linen::Dense> inner{linen::Dense{.features = 2}, nnx::Rngs(0)};
    LINNET_FIELDS(inner)
    Tensor operator()(const Tensor& x) {
      inner(x);
      throw ValueError("on purpose");
    }
  };
  Throwing model;
  EXPECT_THROW(bridge::lazy_init(model, ones({1, 3})), ValueError);
  EXPECT_FALSE(model.inner.initializing());
  ToNNX direct(linen::Dropout{.rate = 0.5}, nnx::Rngs(0));
  EXPECT_THROW(direct.lazy_init(ones({1})), ValueError);
  EXPECT_FALSE(direct.initializing());
}

TEST(BridgeToNNX, B_054_LazyInitOfAMethod) {
  struct Outer {
    ToNNX<linen::Dense> a{linen::Dense{.features = 2}, nnx::Rngs(0)},
        b{linen::Dense{.features = 2}, nnx::Rngs(1)};
    LINNET_FIELDS(a, b)
    Tensor only_a(const Tensor& x) { return a(x); }
  };
  Outer model;
  bridge::lazy_init_method(model, &Outer::only_a, ones({1, 3}));
  EXPECT_TRUE(model.a.attributes().contains("kernel"));
  EXPECT_TRUE(model.b.attributes().empty());
}

template <class M>
concept LazilyInitialised = requires(M& model, const Tensor& x) { bridge::lazy_init(model, x); };

TEST(BridgeToNNX, B_056_LazyInitOfAFunctionDoesNotCompile) {
  const auto lambda = [](const Tensor& x) { return x; };
  static_assert(LazilyInitialised<ToNNX<linen::Dense>> && LazilyInitialised<StatefulBlock>);
  static_assert(!LazilyInitialised<decltype(lambda)>);
  static_assert(!LazilyInitialised<Tensor(const Tensor&)>);
  static_assert(!LazilyInitialised<std::function<Tensor(const Tensor&)>>);
}

TEST(BridgeToNNX, B_059_B_060_OneKeyOfEveryStream) {
  std::map<std::string, Tensor> seen;
  nnx::Rngs one(0);
  ToNNX lone(ShowKeys{&seen}, one);
  lone(ones({1}));
  ASSERT_EQ(seen.size(), 1u);
  const Key forked = random::fold_in(Key(0), 0u);
  expect_equal(seen.at("params"), path_key(random::fold_in(forked, 0u)));

  nnx::Rngs both{{"params", Key(0)}, {"default", Key(1)}, {"unused", Key(2)}};
  ToNNX many(ShowKeys{&seen}, both);
  many(ones({1}));
  EXPECT_EQ(seen.size(), 3u);
  for (const char* name : {"params", "default", "unused"}) {
    EXPECT_EQ(many.rngs()[name].count().item<int>(), 1) << name;
  }

  nnx::Rngs given(Key(7));
  many.call({.rngs = given}, ones({1}));
  ASSERT_EQ(seen.size(), 1u);
  expect_equal(seen.at("params"), path_key(random::fold_in(Key(7), 0u)));
  EXPECT_EQ(given["default"].count().item<int>(), 1);
  EXPECT_EQ(many.rngs()["params"].count().item<int>(), 1);
  many.call({.rngs = Key(8)}, ones({1}));
  expect_equal(seen.at("params"), path_key(Key(8)));
}

TEST(BridgeToNNX, B_062_B_063_DropoutFallsBackAndReseeds) {
  ToNNX model(linen::Dropout{.rate = 0.5, .deterministic = false}, nnx::Rngs(0));
  const Tensor x = ones({64});
  const Tensor first = model(x), second = model(x);
  EXPECT_TRUE(differ(first, second));
  nnx::Rngs rngs = two_streams();
  ToNNX named(linen::Dropout{.rate = 0.5, .deterministic = false}, rngs);
  nnx::reseed(named, {{"dropout", Key(0)}});
  const Tensor a = named(x);
  nnx::reseed(named, {{"dropout", Key(0)}});
  expect_equal(named(x), a);
  EXPECT_TRUE(differ(named(x), a));
}

TEST(BridgeToNNX, B_064_B_065_ReservedNames) {
  ToNNX model(TwoMethods{}, nnx::Rngs(0));
  model.lazy_init_method(&TwoMethods::rngs, ones({1}));
  EXPECT_EQ(values(model["rngs"]), std::vector<float>{1});
  EXPECT_EQ(model.rngs().names(), std::vector<std::string>{"default"});
  const nnx::State state = nnx::state(model);
  EXPECT_TRUE(state.contains("rngs"));
  EXPECT_TRUE(state.contains("to_nnx__rngs/default/key"));
  EXPECT_EQ(nnx::state(model, nnx::of_type<nnx::Param>()).size(), 1u);
}

TEST(BridgeToNNX, B_066_PlainAttributes) {
  auto model = ToNNX(linen::Dense{.features = 2}, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  model.attributes().at_path({"number"}) = Tensor(3);
  const std::string text = thrown<ValueError>([&] { model(ones({1, 3})); });
  EXPECT_NE(text.find("cannot infer collection"), std::string::npos);
}

TEST(BridgeToNNX, B_075_ContainersOfVariablesAreData) {
  auto model = ToNNX(linen::Dense{.features = 2}, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  model.attributes().at_path({"extra"}) =
      bridge::AttributeTree{{"a", nnx::Param(ones({2}))}, {"b", {{"c", nnx::Param(zeros({1}))}}}};
  const nnx::State params = nnx::state(model, nnx::of_type<nnx::Param>());
  EXPECT_EQ(params.size(), 4u);
  EXPECT_TRUE(params.contains("extra/a"));
  EXPECT_TRUE(params.contains("extra/b/c"));
  EXPECT_EQ(model(ones({1, 3})).shape(), Shape({1, 2}));
}

TEST(BridgeToNNX, B_069_B_070_B_071_MutableCollections) {
  auto model = ToNNX(Counter{}, nnx::Rngs(0)).lazy_init(ones({3, 2}));
  EXPECT_EQ(model["count"].variable().type().name(), "counter");
  EXPECT_EQ(model["count"].value().item<int>(), 0);
  const auto cell = model["count"].variable().cell();
  model.call({.mutate = true}, ones({3, 2}));
  EXPECT_EQ(model["count"].value().item<int>(), 1);
  model.call({.mutate = {"counter", "other"}}, ones({3, 2}));
  EXPECT_EQ(model["count"].value().item<int>(), 2);
  EXPECT_EQ(model["count"].variable().cell(), cell);
  const std::string text = thrown<ModuleError>([&] { model(ones({3, 2})); });
  EXPECT_NE(text.find("ModifyScopeVariableError"), std::string::npos);
  EXPECT_EQ(model["count"].value().item<int>(), 2);
}

TEST(BridgeToNNX, B_072_B_074_SownValues) {
  struct Sowing {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      s.sow("intermediates", "dot_sum", sum(x));
      s.sow("intermediates", "dot_sum", sum(x) * 2);
      return s("dense", linen::Dense{.features = 2}, x);
    }
  };
  auto model = ToNNX(Sowing{}, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  const auto kernel = model["dense"]["kernel"].variable().cell();
  const Tensor before = model["dense"]["kernel"];
  model.call({.mutate = {"intermediates"}}, ones({1, 3}));
  const nnx::Variable& sown = model["dot_sum"].variable();
  EXPECT_EQ(&sown.type(), &nnx::Intermediate::static_type());
  ASSERT_EQ(sown.raw_value().tensors.size(), 2u);
  EXPECT_EQ(sown.raw_value().tensors[1].item<float>(), 6);
  EXPECT_EQ(model["dense"]["kernel"].variable().cell(), kernel);
  EXPECT_EQ(model["dense"]["kernel"].value().impl(), before.impl());
}

TEST(BridgeToNNX, B_077_SplitMergeAndFilters) {
  const Tensor x = normal({3, 2});
  auto model = ToNNX(Counter{}, nnx::Rngs(0)).lazy_init(x);
  const auto& counter = nnx::variable_type_from_name("counter");
  auto [graphdef, params, counts, rest] =
      nnx::split(model, nnx::of_type<nnx::Param>(), nnx::of_type(counter), nnx::everything());
  EXPECT_TRUE(params.contains("bias"));
  EXPECT_TRUE(counts.contains("count"));
  EXPECT_EQ(rest.size(), 2u);
  auto copy = nnx::merge<ToNNX<Counter>>(graphdef, params, counts, rest);
  copy.call({.mutate = true}, x);
  EXPECT_EQ(model["count"].value().item<int>(), 1);
  ToNNX<Counter> independent = nnx::clone(model);
  independent.call({.mutate = true}, x);
  EXPECT_EQ(model["count"].value().item<int>(), 1);
  EXPECT_EQ(independent["count"].value().item<int>(), 2);
}

TEST(BridgeToNNX, B_078_ReplacedValuesCount) {
  const Tensor x = normal({1, 3});
  auto model = ToNNX(linen::Dense{.features = 2}, nnx::Rngs(0)).lazy_init(x);
  model["kernel"] = zeros({3, 2});
  model["bias"] = ones({2});
  EXPECT_EQ(values(model(x)), (std::vector<float>{1, 1}));
}

TEST(BridgeToNNX, B_039_SameTreeWrappedWholeOrInPart) {
  struct Whole {
    Tensor operator()(linen::Scope& s, const Tensor& x) const {
      return s("tail", linen::Dense{.features = 2},
               s("head", linen::BatchNorm{.use_running_average = true}, x));
    }
  };
  struct Part {
    ToNNX<linen::BatchNorm> head;
    ToNNX<linen::Dense> tail;
    explicit Part(nnx::Rngs& rngs)
        : head(linen::BatchNorm{.use_running_average = true}, rngs),
          tail(linen::Dense{.features = 2}, rngs) {}
    LINNET_FIELDS(head, tail)
    Tensor operator()(const Tensor& x) { return tail(head(x)); }
  };
  const Tensor x = normal({4, 3});
  auto whole = ToNNX(Whole{}, nnx::Rngs(0)).lazy_init(x);
  nnx::Rngs rngs(0);
  Part part(rngs);
  bridge::lazy_init(part, x);
  const auto described = [](auto& model) {
    std::vector<std::string> out;
    const nnx::State state = nnx::state(model, nnx::not_(nnx::of_type<nnx::RngState>()));
    for (const auto& [path, leaf] : state.entries())
      out.push_back(tree::to_string(path) + ":" + leaf.type()->name());
    return out;
  };
  EXPECT_EQ(described(whole), described(part));
  EXPECT_EQ(described(whole).size(), 6u);
}

TEST(BridgeToNNX, B_148_B_149_AnnotationsOfInitialisers) {
  const linen::Dense annotated{
      .features = 2,
      .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"}),
      .bias_init = linen::with_logical_partitioning(init::zeros(), {"out-alias"},
                                                    AxisRules{{{"out-alias", "out"}}})};
  auto model = ToNNX(annotated, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  EXPECT_EQ(*model["kernel"].variable().metadata().get<AxisNames>("out_sharding"),
            (AxisNames{"in", "out"}));
  EXPECT_EQ(*model["bias"].variable().metadata().get<AxisNames>("out_sharding"),
            AxisNames{"out-alias"});
  EXPECT_EQ(partition_spec(model["bias"].variable().metadata()), P("out"));
  EXPECT_EQ(model(ones({1, 3})).shape(), Shape({1, 2}));
}

TEST(BridgeToNNX, BatchNormMovesItsAverages) {
  const Tensor x = normal({16, 3}) * 2 + 1;
  auto model = ToNNX(linen::BatchNorm{.momentum = 0.9}, nnx::Rngs(0)).lazy_init(x, false);
  EXPECT_EQ(values(model["mean"]), (std::vector<float>{0, 0, 0}));
  const auto cell = model["mean"].variable().cell();
  const Tensor y = model.call({.mutate = {"batch_stats"}}, x, false);
  expect_near(mean(y, Axes{0}), zeros({3}), 1e-4);
  expect_near(model["mean"], mean(x, Axes{0}) * 0.1f, 1e-5);
  EXPECT_EQ(model["mean"].variable().cell(), cell);
  EXPECT_THROW(model(x, false), ModuleError);
  EXPECT_NO_THROW(model(x, true));
}

// Functional modules with hyper-parameters that the text of equal modules must not miss.
struct ForgotNumber {
  int64_t n = 2;
  double scale = 1;
  LINNET_FIELDS(n)
  Tensor operator()(linen::Scope&, const Tensor& x) const { return x * scale; }
};
struct ForgotFlag {
  double scale = 1;
  bool first = false, second = false;  // `second` hides in the padding
  LINNET_FIELDS(scale, first)
  Tensor operator()(linen::Scope&, const Tensor& x) const { return second ? x : x * scale; }
};
struct ForgotFlagWithConstructor {
  explicit ForgotFlagWithConstructor(float s) : second(s) {}
  float first = 1, second;
  LINNET_FIELDS(first)
  Tensor operator()(linen::Scope&, const Tensor& x) const { return x * second; }
};
struct Undescribed {
  int64_t n = 2;
  double scale = 1;
  Tensor operator()(linen::Scope&, const Tensor& x) const { return x * scale; }
};
struct UndescribedList {
  std::vector<double> factors;
  Tensor operator()(linen::Scope&, const Tensor& x) const {
    Tensor y = x;
    for (double factor : factors) y = y * factor;
    return y;
  }
};
struct Padded {
  bool plus;
  double scale;
  Tensor operator()(linen::Scope&, const Tensor& x) const { return x * (plus ? scale : -scale); }
};

/// Two modules in one jitted function give what they give eagerly.
template <class M>
void expect_told_apart(const M& a, const M& b) {
  bridge::ToNNX<M> first(a, nnx::Rngs(0)), second(b, nnx::Rngs(0));
  auto f = jit([](bridge::ToNNX<M>& model, const Tensor& x) { return model(x); });
  const Tensor x = ones({1, 2});
  expect_equal(f(first, x), first(x));
  expect_equal(f(second, x), second(x));
  EXPECT_TRUE(differ(first(x), second(x)));
  EXPECT_EQ(f.trace_count(), 2u);
  bridge::ToNNX<M> copy = first;
  expect_equal(f(copy, x), first(x));
  EXPECT_EQ(f.trace_count(), 2u) << "a copy is the same module";
}

TEST(BridgeToNNX, ModulesWithUnlistedMembersShareNoProgram) {
  expect_told_apart(ForgotNumber{2, 1}, ForgotNumber{2, 10});
  expect_told_apart(ForgotFlag{2, false, false}, ForgotFlag{2, false, true});
  expect_told_apart(ForgotFlagWithConstructor(1), ForgotFlagWithConstructor(10));
  expect_told_apart(Undescribed{2, 1}, Undescribed{2, 10});
  expect_told_apart(UndescribedList{{2.}}, UndescribedList{{2., 3.}});
  expect_told_apart(Padded{true, 1}, Padded{false, 1});
}

struct Described {
  bool plus = true;
  double scale = 1;
  std::optional<std::string> note = {};
  LINNET_FIELDS(plus, scale, note)
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    return s("d", linen::Dense{.features = 2}, x) * (plus ? scale : -scale);
  }
};

TEST(BridgeToNNX, ModulesWithEqualMembersShareAProgram) {
  bridge::ToNNX<Described> first({.scale = 3}, nnx::Rngs(0)), second({.scale = 3}, nnx::Rngs(1));
  const Tensor x = ones({1, 2});
  first.lazy_init(x);
  second.lazy_init(x);
  auto f = jit([](bridge::ToNNX<Described>& model, const Tensor& y) { return model(y); });
  expect_equal(f(first, x), first(x));
  expect_equal(f(second, x), second(x));
  EXPECT_EQ(f.trace_count(), 1u);
}

struct Coder {
  Tensor operator()(linen::Scope& s, const Tensor& x) const { return encode(s, x); }
  Tensor encode(linen::Scope& s, const Tensor& x) const {
    return s("up", linen::Dense{.features = 4}, x);
  }
  Tensor scaled(linen::Scope& s, const Tensor& x, double by) const { return encode(s, x) * by; }
};

TEST(BridgeToNNX, B_067_MethodsAreFunctionsOfTheirArguments) {
  bridge::ToNNX<Coder> model(Coder{}, nnx::Rngs(0));
  const Tensor x = ones({1, 3});
  model.lazy_init(x);
  expect_equal(model.method(&Coder::encode)(x), model(x));
  expect_equal(model.method(&Coder::scaled)(x, 2.0), model(x) * 2.0);
}

}  // namespace
}  // namespace linnet::bridge_tests::to_nnx_test
