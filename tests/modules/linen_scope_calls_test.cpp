// Ways to call functional modules besides init and apply: captured outputs, bound modules, types in
// place of arguments; and the classes of what goes wrong.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/linen/bind.h"
#include "linnet/linen/errors.h"
#include "linnet/linen/lazy_init.h"
#include "linnet/linen/method.h"

namespace linnet::linen_scope_calls_test {
namespace {

using linen::CollectionFilter;
using linen::Scope;
using linen::Variables;

using Names = std::vector<std::string>;

Tensor x() { return ones({2, 3}); }

std::string names_of(const Variables& variables) {
  std::string out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) out += tree::to_string(path) + ' ';
  return out;
}

struct Bar {
  Tensor test(Scope&, const Tensor& y) const { return y + 1; }
  Tensor operator()(Scope& s, const Tensor& y) const {
    return Scope::call(s, linen::method<&Bar::test>(*this), y) * 2;
  }
};
struct Foo {
  Tensor operator()(Scope& s, const Tensor& y) const {
    Scope bar = s.child("bar");
    return Scope::call(bar, Bar{}, Scope::call(bar, Bar{}, y)) + 1;
  }
};

TEST(LinenCapture, L_051_outputs_of_calls) {
  const auto captured = [](linen::CaptureFilter filter) {
    return linen::apply_with({.capture_intermediates = std::move(filter)}, Foo{}, Variables(),
                             tensor({1.f}));
  };
  // ((1 + 1) * 2 + 1) * 2 + 1
  const auto [out, updates] = captured(true);
  EXPECT_EQ(out.to_vector<float>(), std::vector<float>{11});
  EXPECT_EQ(updates.keys(), Names{"intermediates"});
  EXPECT_EQ(names_of(updates["intermediates"]), "__call__ bar/__call__ ");
  const state::Value& calls = updates["intermediates"]["bar"]["__call__"].leaf();
  ASSERT_TRUE(calls.tuple);
  ASSERT_EQ(calls.tensors.size(), 2u) << "an entry for each call";
  EXPECT_EQ(calls.tensors[0].item<float>(), 4.f);
  EXPECT_EQ(calls.tensors[1].item<float>(), 10.f);
  // A predicate sees the module and its method.
  const Variables methods = captured([](const linen::ModuleCall& call) {
                              return call.class_name == "Bar" && call.method == "test";
                            }).second;
  EXPECT_EQ(names_of(methods["intermediates"]), "bar/test ");
  EXPECT_EQ(methods["intermediates"]["bar"]["test"].leaf().tensors[1].item<float>(), 5.f);
  const Variables below =
      captured([](const linen::ModuleCall& call) { return call.path == Names{"bar"}; }).second;
  EXPECT_EQ(names_of(below["intermediates"]), "bar/__call__ bar/test ");
  EXPECT_TRUE(captured(false).second.empty());
}

TEST(LinenCapture, L_051_under_init_and_transformations_and_of_several_tensors) {
  const auto model = [](Scope& s, const Tensor& y) {
    const auto [carry, h] = s("cell", linen::LSTMCell{.features = 2},
                              linen::LSTMCell{.features = 2}.initialize_carry(Key(0), {2, 3}), y);
    return s("mapped",
             linen::vmap(linen::Dense{.features = 4},
                         {.variable_axes = {{"params", kNone}, {"intermediates", 0}},
                          .split_rngs = {{"params", false}}}),
             h);
  };
  const Variables made =
      linen::init_with({.mutate = true, .capture_intermediates = true}, model, Key(0), x()).second;
  EXPECT_EQ(names_of(made["intermediates"]),
            "__call__ cell/__call__/0/c cell/__call__/0/h cell/__call__/1 cell/hf/__call__ "
            "cell/hg/__call__ cell/hi/__call__ cell/ho/__call__ cell/if/__call__ cell/ig/__call__ "
            "cell/ii/__call__ cell/io/__call__ mapped/__call__ ");
  // The default of init keeps nothing that is not asked for.
  EXPECT_FALSE(linen::init(model, Key(0), x()).contains("intermediates"));
  // A compiled call keeps what an eager one does, and is compiled anew for another filter.
  struct Jitted {
    Tensor operator()(Scope& s, const Tensor& y) const { return s("net", linen::jit(Foo{}), y); }
  };
  for (const bool all : {false, true, false, true}) {
    const Variables kept =
        linen::apply_with({.capture_intermediates = all}, Jitted{}, Variables(), x()).second;
    EXPECT_EQ(kept.empty(), !all);
    if (all) {
      EXPECT_EQ(kept["intermediates"]["net"]["bar"]["__call__"].leaf().tensors.size(), 2u);
    }
  }
}

TEST(LinenScope, L_049_sow_with_a_fold_of_its_own) {
  const auto add = [](const Tensor& a, const Tensor& b) { return a + b; };
  const auto zero = [] { return zeros({}); };
  const auto model = [&](Scope& s, const Tensor& y) {
    const bool first = s.sow("losses", "l2", sum(y), add, zero);
    const bool second = s.sow("losses", "l2", sum(y), add, zero);
    EXPECT_EQ(first, second);
    EXPECT_EQ(first, s.is_mutable_collection("losses"));
    return y;
  };
  const Variables kept = linen::apply_with({.mutate = "losses"}, model, Variables(), x()).second;
  EXPECT_EQ(kept["losses"]["l2"].value().item<float>(), 12.f);
  linen::apply(model, Variables(), x());
}

/// Counts its calls and draws a number.
struct Counter {
  Tensor operator()(Scope& s, const Tensor& y) const {
    const auto count = s.variable("counts", "count", [] { return scalar(0, DType::kF32); });
    if (s.is_mutable_collection("counts")) count.set(count.value() + 1);
    const Tensor noise = random::uniform(s.make_rng("noise"), {});
    return s("dense", linen::Dense{.features = 2}, y) + count.value() + noise;
  }
};
struct Outer {
  Tensor operator()(Scope& s, const Tensor& y) const { return s("counter", Counter{}, y); }
};

TEST(LinenBind, L_054_a_bound_module_is_called_like_a_function) {
  const Variables vars = linen::init(Outer{}, {{"params", Key(0)}, {"noise", Key(1)}}, x());
  auto bound = linen::bind(Outer{}, vars, {.mutate = "counts", .rngs = {{"noise", Key(5)}}});
  const Tensor first = bound(x()), second = bound(x());
  EXPECT_EQ(bound.variables()["counts"]["counter"]["count"].value().item<float>(), 3.f)
      << "one call of init and two";
  EXPECT_EQ(vars["counts"]["counter"]["count"].value().item<float>(), 1.f);
  EXPECT_NE(first.to_vector<float>(), second.to_vector<float>());
  const linen::ApplyOptions once{.mutate = "counts", .rngs = {{"noise", Key(5)}}};
  EXPECT_EQ(linen::apply_with(once, Outer{}, vars, x()).first.to_vector<float>(),
            first.to_vector<float>());
  EXPECT_EQ(Scope::current(), nullptr) << "open, but not in progress";
  // Without `mutate` nothing changes, and functions of a scope are called in it too.
  auto fixed = linen::bind(Outer{}, vars, {.rngs = {{"noise", Key(5)}}});
  EXPECT_THROW(fixed.call([](Scope& s) {
    s.put_variable("counts", "other", scalar(1, DType::kF32));
    return Tensor();
  }),
               linen::ModifyScopeVariableError);
  EXPECT_EQ(fixed(x()).shape(), (Shape{2, 2}));
  EXPECT_FALSE(fixed.call([](Scope& s) { return Tensor(s.is_initializing()); }).item<bool>());
  // It is differentiated and mapped over like any function that captures what it needs.
  const Tensor g = grad([&](const Tensor& y) { return sum(fixed(y)); })(x());
  EXPECT_EQ(g.shape(), (Shape{2, 3}));
}

TEST(LinenBind, L_055_unbinding_gives_module_and_variables_back) {
  const Variables vars = linen::init(Outer{}, {{"params", Key(0)}, {"noise", Key(1)}}, x());
  auto bound = linen::bind(Outer{}, vars, {.rngs = {{"noise", Key(5)}}});
  EXPECT_EQ(to_string(bound.unbind().second), to_string(vars));
  const auto child = bound.child("counter", Counter{});
  const auto [module, below] = child.unbind();
  EXPECT_EQ(below["params"].keys(), Names{"dense"}) << "those of the submodule, at its root";
  EXPECT_EQ(linen::apply_with({.rngs = {{"noise", Key(5)}}}, module, below, x()).first.shape(),
            (Shape{2, 2}));
  EXPECT_EQ(child.scope().path(), Names{"counter"});
  // Bound again, it is what it was.
  const auto again = linen::bind(module, below, {.rngs = {{"noise", Key(5)}}});
  EXPECT_EQ(again.variables()["params"]["dense"]["kernel"].value().to_vector<float>(),
            vars["params"]["counter"]["dense"]["kernel"].value().to_vector<float>());
  // What outlives the bound module says so.
  std::optional<Scope> scope;
  { scope = linen::bind(module, below).scope(); }
  EXPECT_THROW(scope->make_rng("noise"), linen::InvalidScopeError);
}

TEST(LinenLazyInit, L_022_L_067_types_in_place_of_arguments) {
  const auto model = [](Scope& s, const Tensor& y) {
    const Tensor h = s("norm", linen::BatchNorm{.use_running_average = false},
                       s("up", linen::Dense{.features = 4}, y));
    return s("drop", linen::Dropout{.rate = 0.5, .deterministic = false}, h);
  };
  const linen::RngStreams keys{{"params", Key(0)}, {"dropout", Key(1)}};
  // 2^40 rows: more than any memory.
  const Variables lazy = linen::lazy_init(
      model, keys, abstract({DType::kF32, {int64_t{1} << 40, 3}, false, default_device()}));
  const Variables eager = linen::init(model, keys, x());
  ASSERT_EQ(to_string(lazy), to_string(eager));
  for (const auto& [path, leaf] : linen::flat_leaves(lazy)) {
    ASSERT_FALSE(leaf->value().traced());
    EXPECT_EQ(leaf->value().to_vector<float>(), eager.find_path(path)->value().to_vector<float>());
  }
  // A bfloat16 input, as a type only.
  EXPECT_EQ(linen::lazy_init(
                linen::Dense{.features = 2}, Key(0),
                abstract({DType::kBF16, {8, 3}, false, default_device()}))["params"]["kernel"]
                .shape(),
            (Shape{3, 2}));
}

TEST(LinenLazyInit, L_022_L_067_values_that_depend_on_types_are_refused) {
  const auto model = [](Scope& s, const Tensor& y, const Tensor& z) {
    s.variable("stats", "mean", [&] { return mean(z); });
    return s("dense", linen::Dense{.features = 2}, y);
  };
  const Tensor type = abstract({DType::kF32, {2, 3}, false, default_device()});
  try {
    linen::lazy_init(model, Key(0), x(), type);
    FAIL();
  } catch (const linen::LazyInitError& error) {
    EXPECT_NE(std::string(error.what()).find("stats/mean"), std::string::npos) << error.what();
  }
  // What is given with values may be used.
  EXPECT_EQ(linen::lazy_init(model, Key(0), type, x())["stats"]["mean"].value().item<float>(), 1.f);
}

TEST(LinenScope, L_007_initialisers_of_parameters_that_exist_are_not_run) {
  const auto model = [](Scope& s, int64_t size) {
    s.param("w", [size](const Key& key) { return Variables(random::normal(key, {size, size})); });
    return s.make_rng().data();
  };
  const linen::RngStreams keys = Key(0);
  const auto [after_init, vars] = linen::init_with_output(model, keys, 3);
  const Tensor after_apply = linen::apply_with({.rngs = keys}, model, vars, 3).first;
  const Tensor first = linen::apply_with(
                           {.rngs = keys}, [](Scope& s) { return s.make_rng().data(); }, vars)
                           .first;
  EXPECT_EQ(after_apply.to_vector<uint32_t>(), first.to_vector<uint32_t>())
      << "no key is used for a parameter that exists";
  EXPECT_NE(after_apply.to_vector<uint32_t>(), after_init.to_vector<uint32_t>());
  // 2^40 numbers, of which only the shape is asked for; no stream is needed.
  const int64_t size = int64_t{1} << 20;
  const auto large = [size](Scope& s) {
    return s.param("w", [size](const Key& key) {
      return Variables(random::normal(key, {size, size}));
    });
  };
  try {
    linen::apply(large, vars);
    FAIL();
  } catch (const linen::ScopeParamShapeError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("[1048576,1048576]"), std::string::npos) << text;
    EXPECT_NE(text.find("f32[3,3]"), std::string::npos) << text;
  }
}

TEST(LinenScope, L_021_init_makes_every_collection_when_told) {
  const auto model = [](Scope& s) {
    EXPECT_TRUE(s.is_initializing());
    s.sow("intermediates", "h", ones({}));
    return s.param("w", init::ones(), {2});
  };
  const Variables all = linen::init_with({.mutate = true}, model, Key(0)).second;
  EXPECT_EQ(all.keys(), (Names{"intermediates", "params"}));
  EXPECT_EQ(linen::init(model, Key(0)).keys(), Names{"params"});
  // But for the flag, it is apply on nothing.
  const auto silent = [](Scope& s) { return s.param("w", init::normal(), {2}); };
  EXPECT_EQ(linen::apply_with({.mutate = true, .rngs = Key(0)}, silent, Variables())
                .second["params"]["w"]
                .value()
                .to_vector<float>(),
            linen::init(silent, Key(0))["params"]["w"].value().to_vector<float>());
}

TEST(LinenScope, L_005_L_023_views_of_one_variable_agree) {
  const auto model = [](Scope& s) {
    Scope a = s.child("a");
    a.put_variable("state", "x", scalar(0, DType::kF32));
    const linen::ScopeVariable handle =
        a.variable("state", "y", [] { return scalar(5, DType::kF32); });
    const linen::ScopeVariable other = handle.in(s.reopened("a"));
    s.put_variables("state", "a", {{"x", scalar(1, DType::kF32)}});
    EXPECT_EQ(a.variables()["state"]["x"].value().item<float>(), 1.f);
    EXPECT_EQ(s.variables()["state"]["a"]["x"].value().item<float>(), 1.f);
    EXPECT_EQ(handle.value().item<float>(), 5.f) << "merged, not replaced";
    other.set(scalar(7, DType::kF32));
    EXPECT_EQ(handle.value().item<float>(), 7.f);
    handle.set(scalar(8, DType::kF32));
    EXPECT_EQ(other.value().item<float>(), 8.f);
    return Tensor(0.f);
  };
  linen::apply_with({.mutate = "state"}, model, Variables());
}

template <class E, class F>
void expect_class(const char* name, F&& f) {
  try {
    f();
    FAIL() << name;
  } catch (const E& error) {
    EXPECT_EQ(std::string(error.what()).rfind(std::string(name) + ": ", 0), 0u) << error.what();
    static_assert(std::is_base_of_v<ModuleError, E> && std::is_base_of_v<Error, E>);
  }
}

TEST(LinenErrors, L_174_one_class_for_each_rule) {
  const linen::Dense dense{.features = 2};
  const Variables vars = linen::init(dense, Key(0), x());
  Variables other = vars, without = vars;
  other.at_path({"params", "kernel"}) = Variables(ones({4, 2}));
  without.children().at("params").children().erase("kernel");
  const auto stats = [](Scope& s) { return s.variable("stats", "v", {}).value(); };

  expect_class<linen::ScopeParamShapeError>("ScopeParamShapeError",
                                            [&] { linen::apply(dense, other, x()); });
  expect_class<linen::ScopeParamNotFoundError>("ScopeParamNotFoundError",
                                               [&] { linen::apply(dense, without, x()); });
  expect_class<linen::ScopeCollectionNotFound>("ScopeCollectionNotFound",
                                               [&] { linen::apply(dense, Variables(), x()); });
  expect_class<linen::ScopeCollectionNotFound>("ScopeCollectionNotFound",
                                               [&] { linen::apply(stats, vars); });
  expect_class<linen::ScopeVariableNotFoundError>("ScopeVariableNotFoundError", [&] {
    linen::apply(stats, Variables{{"stats", Variables{{"w", ones({})}}}});
  });
  expect_class<linen::ModifyScopeVariableError>("ModifyScopeVariableError", [&] {
    linen::apply(
        [](Scope& s) {
          s.put_variable("stats", "v", ones({}));
          return Tensor();
        },
        vars);
  });
  expect_class<linen::NameInUseError>("NameInUseError", [&] {
    linen::init(
        [](Scope& s) {
          s.child("a");
          s.child("a");
          return Tensor();
        },
        Key(0));
  });
  expect_class<linen::InvalidRngError>("InvalidRngError", [&] { linen::init(dense, {}, x()); });
  expect_class<linen::InvalidRngError>("InvalidRngError", [&] {
    linen::init(dense, {{"params", random::split(Key(0), 2)}}, x());
  });
  expect_class<linen::ApplyScopeInvalidVariablesTypeError>(
      "ApplyScopeInvalidVariablesTypeError", [&] {
        linen::apply(dense, Variables{{"params", ones({2})}}, x());
      });
  expect_class<linen::ApplyScopeInvalidVariablesStructureError>(
      "ApplyScopeInvalidVariablesStructureError", [&] {
        linen::apply(dense, Variables{{"params", vars}}, x());
      });
  std::optional<Scope> ended;
  linen::apply(
      [&](Scope& s) {
        ended = s;
        return Tensor();
      },
      vars);
  expect_class<linen::InvalidScopeError>("InvalidScopeError", [&] { ended->variables(); });
  expect_class<linen::TransformedMethodReturnValueError>("TransformedMethodReturnValueError", [&] {
    linen::init(
        [](Scope& s, const Tensor& y) {
          const auto returns = [](Scope& t, const Tensor&) { return t; };
          linen::vmap(returns)(s, y);
          return y;
        },
        Key(0), x());
  });
}

}  // namespace
}  // namespace linnet::linen_scope_calls_test
