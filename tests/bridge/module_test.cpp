// Rules of bridge modules (inventory section 11).
#include "bridge/module_models.h"
#include "linnet/bridge/interop.h"
#include "linnet/linen/errors.h"

namespace linnet::bridge_tests::module_test {
namespace {

using linen::Variables;

struct Plain {
  int64_t n;
};

template <class M>
concept Comparable = requires(const M& a, const M& b) { a == b; };
template <class M, class Name>
concept NamesSubmodules = requires(M& m, Name name) { m.submodule(name, BridgeDense{}); };
template <class F>
concept Appliable = requires(F f, const BridgeDense& m, const Variables& v) {
  bridge::apply_method(bridge::ApplyOptions{}, f, m, v);
};

TEST(BridgeModule, B_160_B_161_records_and_object_modules) {
  BridgeDense dense{{}, 3};
  EXPECT_EQ(dense.features, 3);
  EXPECT_EQ(BridgeDense{}.features, 1);
  static_assert(!Comparable<BridgeDense>);

  nnx::Shared<BridgeDense> inner;
  struct Holder : Module {
    Tensor operator()(const Tensor& x, nnx::Shared<BridgeDense>& out) {
      const Compact compact(*this);
      out = submodule(BridgeDense{{}, 2});
      return (*out)(x);
    }
  };
  const Tensor x = normal({2, 3});
  const Variables vars = bridge::init_with_output(Holder{}, 0, x, inner).second;
  // It is an object module like others: split, merged, differentiated.
  auto [graphdef, state] = nnx::split(*inner);
  EXPECT_EQ(state.size(), 2u);
  BridgeDense merged = nnx::merge<BridgeDense>(graphdef, state);
  EXPECT_EQ(nnx::graphdef(merged), graphdef);
  BridgeDense cloned = nnx::clone(*inner);
  const auto loss = [&](BridgeDense& m) {
    return mean(square(matmul(x, m.attribute<nnx::Variable>("w")) +
                       m.attribute<nnx::Variable>("b").value()));
  };
  const nnx::State gradient = nnx::grad(loss, cloned);
  EXPECT_EQ(gradient.size(), 2u);
  expect_equal(merged.attribute<nnx::Variable>("w"), vars["params"]["Dense_0"]["w"].value());
}

TEST(BridgeModule, B_162_fresh_modules) {
  BridgeDense dense{{}, 3};
  EXPECT_EQ(dense.scope(), nullptr);
  EXPECT_TRUE(dense.attr_priorities().empty());
  EXPECT_FALSE(dense.is_initializing());
  static_assert(static_cast<int>(bridge::AttrPriority::kHigh) == 0);
  static_assert(static_cast<int>(bridge::AttrPriority::kInitParent) == 20);
  static_assert(static_cast<int>(bridge::AttrPriority::kDefault) == 50);
  static_assert(static_cast<int>(bridge::AttrPriority::kLow) == 100);
}

int64_t setups = 0;
struct CountsSetups : Module {
  void setup() { ++setups; }
  Tensor operator()(const Tensor& x) { return x; }
};
struct CallsItTwice : Module {
  nnx::Shared<CountsSetups> once{};
  LINNET_FIELDS(once)
  void setup() { attach(once, CountsSetups{}); }
  Tensor operator()(const Tensor& x) {
    attach(once, once);
    return (*once)((*once)(x));
  }
};

TEST(BridgeModule, B_163_setup_runs_once_and_when_bound) {
  setups = 0;
  const CallsItTwice model;
  EXPECT_EQ(setups, 0);
  bridge::init(model, 0, ones({1}));
  EXPECT_EQ(setups, 1);
  bridge::apply(model, {}, ones({1}));
  EXPECT_EQ(setups, 2);
}

struct ContextProbe : Module {
  void setup() {
    EXPECT_EQ(bridge::current_module(), this);
    EXPECT_FALSE(bridge::current_context()->in_compact);
  }
  Tensor operator()(const Tensor& x) {
    EXPECT_EQ(bridge::current_module(), this);
    EXPECT_FALSE(bridge::current_context()->in_compact);
    {
      const Compact compact(*this);
      EXPECT_TRUE(bridge::current_context()->in_compact);
    }
    EXPECT_FALSE(bridge::current_context()->in_compact);
    return x;
  }
  Tensor fails(const Tensor& x) {
    const Compact compact(*this);
    throw ValueError("on purpose " + to_string(x.shape()));
  }
};

TEST(BridgeModule, B_165_B_166_stack_of_calls) {
  EXPECT_EQ(bridge::current_context(), nullptr);
  EXPECT_EQ(bridge::current_module(), nullptr);
  bridge::apply(ContextProbe{}, {}, ones({1}));
  EXPECT_EQ(bridge::current_context(), nullptr);
  EXPECT_THROW(bridge::apply_method({}, &ContextProbe::fails, ContextProbe{}, {}, ones({1})),
               ValueError);
  EXPECT_EQ(bridge::current_context(), nullptr);
}

TEST(BridgeModule, B_167_compact_of_other_classes_does_not_compile) {
  static_assert(std::is_constructible_v<Compact, BridgeDense&>);
  static_assert(!std::is_constructible_v<Compact, Plain&>);
  static_assert(!std::is_constructible_v<Compact, nnx::Linear&>);
}

TEST(BridgeModule, B_168_names_begin_anew_in_each_call) {
  struct Twice : Module {
    Tensor half(const Tensor& x) {
      const Compact compact(*this);
      return (*submodule(BridgeDense{{}, 3}))((*submodule(BridgeDense{{}, 3}))(x));
    }
    Tensor operator()(const Tensor& x) { return half(half(x)); }
  };
  const Tensor x = normal({2, 3});
  const auto [out, vars] = bridge::init_with_output(Twice{}, 0, x);
  EXPECT_EQ(paths_of(vars), (Paths{"params/Dense_0/b", "params/Dense_0/w", "params/Dense_1/b",
                                   "params/Dense_1/w"}));
  expect_equal(bridge::apply(Twice{}, vars, x), out);
}

TEST(BridgeModule, B_171_B_194_scope_of_submodules) {
  struct Empty : Module {};
  struct Bar : Module {
    Tensor operator()() {
      const Compact compact(*this);
      Empty alone;
      EXPECT_EQ(alone.scope(), nullptr);
      const nnx::Shared<Empty> inside = submodule(Empty{});
      const bridge::Scope& scope = *inside->scope();
      EXPECT_EQ(&scope.rngs(), &this->scope()->rngs());
      expect_equal(scope.rngs()["default"].key().data(), Key(1).data());
      EXPECT_EQ(scope.rngs()["default"].count().item<uint32_t>(), 0u);
      const bridge::Scope copy = scope.copy();
      copy.rngs().next("default");
      EXPECT_EQ(scope.rngs()["default"].count().item<uint32_t>(), 1u);
      // A node of the graph: the streams can be reached through the module.
      EXPECT_EQ(nnx::state(*this).size(), 2u);
      return zeros({});
    }
  };
  bridge::apply_with({.rngs = 1}, Bar{}, {});
}

TEST(BridgeModule, B_172_whose_submodule_and_its_name) {
  struct Other : Module {
    Tensor operator()(BridgeDense& someone) {
      const Compact compact(*this);
      const nnx::Shared<BridgeDense> own = submodule("own", BridgeDense{{}, 1});
      const std::string text = thrown<ValueError>([&] {
        own->submodule("not_mine", BridgeDense{{}, 1});
      });
      EXPECT_NE(text.find("not_mine"), std::string::npos) << text;
      EXPECT_THROW(submodule("", BridgeDense{{}, 1}), ValueError);
      EXPECT_THROW(submodule("own", BridgeDense{{}, 1}), linen::NameInUseError);
      someone.features = 2;
      return zeros({});
    }
  };
  BridgeDense someone;
  bridge::apply(Other{}, {}, someone);
  static_assert(NamesSubmodules<Other, const char*> && !NamesSubmodules<Other, int>);
  // Outside of compact methods nothing gets a name of its own.
  struct NoCompact : Module {
    Tensor operator()(const Tensor& x) { return (*submodule(BridgeDense{{}, 1}))(x); }
  };
  EXPECT_THROW(bridge::init(NoCompact{}, 0, ones({1, 2})), ValueError);
}

TEST(BridgeModule, B_175_all_descendants_are_bound_deepest_first) {
  static std::vector<std::string> order;
  struct Inner : Module {
    void setup() {
      EXPECT_NE(scope(), nullptr);
      order.push_back("inner");
    }
  };
  struct Middle : Module {
    Inner inner{};
    LINNET_FIELDS(inner)
    void setup() { order.push_back("middle"); }
  };
  struct Top : Module {
    nnx::Shared<Middle> middle{};
    LINNET_FIELDS(middle)
    void setup() {
      order.push_back("top");
      attach(middle, Middle{});
      EXPECT_EQ(&middle->inner.scope()->rngs(), &scope()->rngs());
    }
    Tensor operator()(const Tensor& x) { return x; }
  };
  order.clear();
  bridge::init(Top{}, 0, ones({1}));
  EXPECT_EQ(order, (std::vector<std::string>{"top", "inner", "middle"}));
}

TEST(BridgeModule, B_176_given_variables_wait_for_their_module) {
  struct Waits : Module {
    Tensor operator()(const Tensor& x) {
      const Compact compact(*this);
      EXPECT_FALSE(has_attribute("Dense_0"));
      const std::string text =
          thrown<ModuleError>([&] { attribute<nnx::Shared<BridgeDense>>("Dense_0"); });
      EXPECT_NE(text.find("no attribute 'Dense_0'"), std::string::npos) << text;
      const nnx::Shared<BridgeDense> dense = submodule(BridgeDense{{}, 2});
      EXPECT_TRUE(has_attribute("Dense_0"));
      return (*dense)(x);
    }
  };
  Variables vars;
  vars.at_path({"params", "Dense_0", "w"}) = Variables(ones({3, 2}));
  vars.at_path({"params", "Dense_0", "b"}) = Variables(ones({2}));
  vars.at_path({"params", "nobody", "asks"}) = Variables(ones({1}));
  const auto [y, all] = bridge::apply_with({.mutate = true}, Waits{}, vars, ones({1, 3}));
  EXPECT_EQ(values(y), (std::vector<float>{4, 4}));
  // What nobody asks for stays.
  EXPECT_EQ(paths_of(all), paths_of(vars));
}

TEST(BridgeModule, B_164_update_of_an_unbound_module) {
  BridgeDense dense{{}, 2};
  Variables vars;
  vars.at_path({"params", "w"}) = Variables(ones({3, 2}));
  vars.at_path({"params", "b"}) = Variables(ones({2}));
  bridge::update(dense, vars);
  EXPECT_FALSE(dense.has_attribute("w"));
  EXPECT_EQ(nnx::state(dense).size(), 2u);
  // They go with the module, and a call finds them.
  EXPECT_EQ(values(bridge::apply(dense, {}, ones({1, 3}))), (std::vector<float>{4, 4}));
  expect_equal(bridge::variables(dense)["params"]["w"].value(), ones({3, 2}));
}

TEST(BridgeModule, B_177_B_178_B_181_B_184_variables_of_a_module) {
  struct Kinds : Module {
    Tensor operator()() {
      const nnx::Variable w = param("w", init::ones(), {2});
      EXPECT_EQ(&w.type(), &nnx::Param::static_type());
      // Asked for again it is the same one.
      EXPECT_EQ(param("w", init::zeros(), {2}).cell(), w.cell());
      const nnx::Variable seen = variable("b181_seen", "seen", [] { return zeros({1}); });
      EXPECT_EQ(seen.type().name(), "b181_seen");
      EXPECT_EQ(variable("b181_seen", "seen").cell(), seen.cell());
      const std::string text = thrown<ValueError>([&] { param("seen", init::ones(), {1}); });
      EXPECT_NE(text.find("b181_seen"), std::string::npos) << text;
      EXPECT_THROW(variable("b181_seen", "absent"), ValueError);
      // A metadata-carrying value keeps its metadata.
      const nnx::Variable tagged = variable("b181_seen", "tagged", [] {
        return nnx::Param(ones({1}), {{"tag", std::string("x")}});
      });
      EXPECT_EQ(tagged.type().name(), "b181_seen");
      EXPECT_TRUE(tagged.metadata().has("tag"));
      return w;
    }
  };
  const Variables vars = bridge::init(Kinds{}, 0);
  EXPECT_EQ(paths_of(vars), (Paths{"b181_seen/seen", "b181_seen/tagged", "params/w"}));
}

TEST(BridgeModule, B_179_values_that_were_given) {
  struct Raw : Module {
    Shape shape{2, 3};
    LINNET_FIELDS(shape)
    Tensor operator()() {
      set_attribute("w", normal({2, 3}));
      const auto annotated = bridge::with_partitioning(init::ones(), {"in", "out"});
      const nnx::Variable w = param("w", annotated, shape);
      EXPECT_EQ(*w.metadata().get<AxisNames>("out_sharding"), (AxisNames{"in", "out"}));
      return w;
    }
  };
  expect_equal(bridge::init_with_output(Raw{}, 0).first, normal({2, 3}));
  const std::string raw = thrown<linen::ScopeParamShapeError>([] {
    bridge::init(Raw{{}, {2, 4}}, 0);
  });
  EXPECT_NE(raw.find("ScopeParamShapeError"), std::string::npos) << raw;

  const Tensor x = ones({1, 3});
  const Variables vars = bridge::init(BridgeDense{{}, 4}, 0, x);
  const std::string text = thrown<linen::ScopeParamShapeError>([&] {
    bridge::apply(BridgeDense{{}, 5}, vars, x);
  });
  for (const char* part : {"ScopeParamShapeError", "'w'", "[3,5]", "f32[3,4]"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(BridgeModule, B_180_B_183_unbound_modules) {
  BridgeDense dense{{}, 2};
  EXPECT_THROW(dense(ones({1, 2})), ValueError);
  EXPECT_THROW(dense.variable("counter", "c", [] { return zeros({}); }), ValueError);
  EXPECT_THROW(dense.make_rng(), ValueError);
  EXPECT_THROW(dense.submodule("x", BridgeDense{}), ValueError);
  // Bound, but without a stream of that name or a default.
  EXPECT_THROW(bridge::apply(BridgeDense{{}, 2}, {}, ones({1, 2})), ModuleError);
}

TEST(BridgeModule, B_185_B_187_receiver_and_results) {
  const CounterModule model;
  const Tensor x = ones({2});
  const Variables vars = bridge::init(model, 0, x);
  EXPECT_TRUE(nnx::state(const_cast<CounterModule&>(model)).empty());
  EXPECT_EQ(model.scope(), nullptr);
  // All collections, whatever is mutable.
  const auto [y, all] = bridge::apply_with({.mutate = {"counter"}}, model, vars, x);
  EXPECT_EQ(paths_of(all), (Paths{"counter/count", "params/bias"}));
  EXPECT_TRUE(bridge::apply_with({}, model, vars, x).second.empty());
  static_assert(std::is_same_v<decltype(bridge::apply(model, vars, x)), Tensor>);
}

TEST(BridgeModule, B_186_streams_of_a_call) {
  struct Draws : Module {
    Tensor operator()(const std::string& name) { return make_rng(name).data(); }
  };
  const auto drawn = [](const bridge::ApplyRngs& rngs, const std::string& name = "default") {
    return bridge::apply_with({.rngs = rngs}, Draws{}, {}, name).first;
  };
  const Tensor first = random::fold_in(Key(7), 0).data();
  expect_equal(drawn(7), first);
  expect_equal(drawn(Key(7)), first);
  expect_equal(drawn({{"default", Key(7)}}), first);
  expect_equal(drawn({{"dropout", Key(7)}}, "dropout"), first);
  // The caller's own streams advance.
  nnx::Rngs rngs(7);
  expect_equal(drawn(rngs), first);
  EXPECT_EQ(rngs["default"].count().item<uint32_t>(), 1u);
  expect_equal(drawn(nnx::Rngs(7)), first);
  EXPECT_THROW(drawn({}), ModuleError);
  EXPECT_THROW(drawn({{"dropout", Key(7)}}, "params"), ModuleError);
}

struct TwoMethodsModule : Module {
  nnx::Shared<BridgeDense> up{};
  LINNET_FIELDS(up)
  void setup() { attach(up, BridgeDense{{}, 4}); }
  Tensor operator()(const Tensor& x) { return encode(x) * 2; }
  Tensor encode(const Tensor& x) { return (*up)(x); }
};

TEST(BridgeModule, B_188_methods) {
  const TwoMethodsModule model;
  const Tensor x = normal({2, 3});
  const auto [out, vars] = bridge::init_method(0, &TwoMethodsModule::encode, model, x);
  expect_equal(bridge::apply(model, vars, x), out * 2);
  expect_equal(bridge::apply_method({}, &TwoMethodsModule::encode, model, vars, x).first, out);
  // A function of the module, such as one that calls a submodule.
  const auto submodule = [](TwoMethodsModule& m, const Tensor& z) { return (*m.up)(z); };
  expect_equal(bridge::apply_method({}, submodule, model, vars, x).first, out);
  // A method that only does something.
  const auto nothing = [](TwoMethodsModule&) {};
  bridge::apply_method({}, nothing, model, vars);
  // What cannot be called with the module does not compile.
  static_assert(Appliable<void (*)(BridgeDense&)>);
  static_assert(!Appliable<int> && !Appliable<const char*> && !Appliable<int (*)()>);
}

TEST(BridgeModule, B_189_B_190_bound_only_during_a_call) {
  struct Shows : Module {
    Tensor operator()(nnx::Shared<Leaf>& out, bool fail) {
      const Compact compact(*this);
      out = submodule("leaf", Leaf{});
      EXPECT_NE(out->scope(), nullptr);
      EXPECT_EQ(out->is_initializing(), is_initializing());
      if (fail) throw ValueError("on purpose");
      return scalar_integer(is_initializing(), DType::kI32);
    }
  };
  nnx::Shared<Leaf> leaf;
  const auto [initializing, vars] = bridge::init_with_output(Shows{}, 0, leaf, false);
  EXPECT_EQ(initializing.item<int32_t>(), 1);
  EXPECT_EQ(paths_of(vars), Paths{"params/leaf/w"});
  EXPECT_EQ(leaf->scope(), nullptr);
  EXPECT_FALSE(leaf->is_initializing());
  EXPECT_EQ(bridge::apply(Shows{}, vars, leaf, false).item<int32_t>(), 0);
  EXPECT_THROW(bridge::init(Shows{}, 0, leaf, true), ValueError);
  EXPECT_EQ(leaf->scope(), nullptr);
  EXPECT_FALSE(leaf->is_initializing());
}

struct B191Unregistered : nnx::VariableOf<B191Unregistered> {
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

TEST(BridgeModule, B_191_collections_of_variables) {
  struct Mixed : Module {
    Tensor operator()() {
      set_attribute("plain", nnx::Param(ones({1})));
      set_attribute("tagged", nnx::BatchStat(ones({1}), {{"tag", std::string("x")}}));
      set_attribute("own", B191Unregistered(ones({1})));
      set_attribute("streams", nnx::Rngs(0));
      return zeros({});
    }
  };
  const Variables vars = bridge::init(Mixed{}, 0);
  EXPECT_EQ(paths_of(vars), (Paths{"B191Unregistered/own", "batch_stats/tagged", "params/plain"}));
  EXPECT_FALSE(vars["params"]["plain"].box());
  EXPECT_EQ(vars["batch_stats"]["tagged"].box()->kind, "NNXMeta");
  EXPECT_THROW(nnx::variable_name_from_type(B191Unregistered::static_type()), ValueError);
}

TEST(BridgeModule, B_196_nothing_is_computed_but_streams) {
  static int computed = 0;
  struct Watched {
    nnx::Param w;
    nnx::Dropout dropout;
    explicit Watched(nnx::Rngs& rngs) : w(random::normal(rngs.params(), {2})), dropout(0.5, rngs) {
      const ValueHook counting{[](const Tensor& t) {
        ++computed;
        return t;
      }};
      w.set_metadata("on_get_value", std::vector<ValueHook>{counting});
    }
    LINNET_FIELDS(w, dropout)
    Tensor operator()(const Tensor& x) { return x * w.value(); }
  };
  struct Model : Module {
    Tensor operator()(const Tensor& x) {
      const Compact compact(*this);
      const auto layer =
          bridge::nnx_in_bridge_mdl([](nnx::Rngs& rngs) { return Watched(rngs); }, "layer");
      return (*layer)(x);
    }
  };
  struct Unfilled : Module {
    Tensor operator()(const Tensor& x) {
      const Compact compact(*this);
      const auto layer =
          bridge::nnx_in_bridge_mdl([](nnx::Rngs& rngs) { return Watched(rngs); }, "layer");
      EXPECT_EQ(layer->w.raw_value().tensors.at(0).shape(), Shape({2}));
      return x;
    }
  };
  const Variables vars = bridge::init(Model{}, 0, ones({2}));
  expect_equal(bridge::apply(Model{}, vars, ones({2})), vars["params"]["layer"]["w"].value());
  // Without its variables it has types only, which cannot be computed with.
  bridge::apply(Unfilled{}, {}, ones({2}));
  EXPECT_THROW(bridge::apply(Model{}, {}, ones({2})), Error);
}

TEST(BridgeModule, B_198_B_200_layers_have_keys_of_their_own) {
  const Tensor x = normal({3, 4});
  const Variables vars =
      bridge::init(CompactLayers{}, {{"params", Key(0)}, {"dropout", Key(1)}}, x);
  EXPECT_TRUE(differ(vars["params"]["Layer_0"]["linear"]["kernel"].value(),
                     vars["params"]["second"]["linear"]["kernel"].value()));
  const auto run = [&](int64_t seed) {
    return bridge::apply_with({.rngs = {{"params", Key(0)}, {"dropout", Key(seed)}}},
                              CompactLayers{}, vars, x)
        .first;
  };
  EXPECT_TRUE(differ(run(2), run(3)));
  expect_equal(run(2), run(2));

  struct Stacked {
    nnx::Param w;
    explicit Stacked(nnx::Rngs& rngs)
        : w(vmap([](const Tensor& key) { return random::normal(Key(key), {2}); })(
              random::split(rngs.params(), 3).data())) {}
    LINNET_FIELDS(w)
  };
  struct ManyKeys : Module {
    Tensor operator()() {
      const Compact compact(*this);
      return bridge::nnx_in_bridge_mdl([](nnx::Rngs& rngs) { return Stacked(rngs); })->w;
    }
  };
  const auto [out, many] = bridge::init_with_output(ManyKeys{}, 0);
  EXPECT_EQ(out.shape(), Shape({3, 2}));
  expect_equal(bridge::apply(ManyKeys{}, many), out);
}

TEST(BridgeModule, B_201_only_inside_a_call) {
  EXPECT_THROW(bridge::nnx_in_bridge_mdl(make_layer), ModuleError);
  EXPECT_THROW(bridge::linen_in_bridge_mdl(linen::Dense{.features = 1}), ModuleError);
}

TEST(BridgeModule, B_069_mutability_of_the_innermost_bridge_call) {
  struct Counts : Module {
    Tensor operator()(const Tensor& x) {
      const Compact compact(*this);
      return (*bridge::linen_in_bridge_mdl(Counter{}, "inner"))(x);
    }
  };
  const Tensor x = ones({1, 2});
  const Variables vars = bridge::init(Counts{}, 0, x);
  const auto [y, all] = bridge::apply_with({.mutate = {"counter"}}, Counts{}, vars, x);
  EXPECT_EQ(all["counter"]["inner"]["count"].value().item<int32_t>(), 1);
  EXPECT_THROW(bridge::apply(Counts{}, vars, x), ModuleError);
}

TEST(BridgeModule, wrappers_inside_object_layers_make_their_variables) {
  struct Model : Module {
    Tensor operator()(const Tensor& x) {
      const Compact compact(*this);
      return (*bridge::nnx_in_bridge_mdl(
          [](nnx::Rngs& rngs) { return StatefulBlock(3, 2, 0.0, rngs); }, "block"))(x);
    }
  };
  const Tensor x = normal({2, 3});
  const auto [out, vars] =
      bridge::init_with_output(Model{}, {{"params", Key(0)}, {"dropout", Key(1)}}, x);
  EXPECT_EQ(vars["params"]["block"].keys(), (std::vector<std::string>{"inner", "linear"}));
  const bridge::ApplyRngs again{{"params", Key(0)}, {"dropout", Key(1)}};
  expect_equal(bridge::apply_with({.rngs = again}, Model{}, vars, x).first, out);
}

}  // namespace
}  // namespace linnet::bridge_tests::module_test
