// The functional module machinery: scopes, collections, names, keys, init and apply.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/linen.h"
#include "linnet/linen/partitioning.h"

namespace linnet::linen_scope_test {
namespace {

using linen::CollectionFilter;
using linen::Scope;
using linen::Variables;

Tensor x() { return ones({2, 3}); }

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Writes a counter at each call.
struct Counter {
  Tensor operator()(Scope& s, const Tensor& y) const {
    const bool exists = s.has_variable("counts", "count");
    const auto count = s.variable("counts", "count", [] { return scalar(0, DType::kF32); });
    if (exists) count.set(count.value() + 1);
    return y + count.value();
  }
};

struct Nested {
  Tensor operator()(Scope& s, const Tensor& y) const {
    return s(
        "outer",
        [](Scope& t, const Tensor& z) { return t("inner", linen::Dense{.features = 2}, z); }, y);
  }
};

TEST(LinenScope, L_001_L_002_nested_scopes_and_missing_collections) {
  const Variables vars = linen::init(Nested{}, Key(0), x());
  EXPECT_EQ(vars.keys(), std::vector<std::string>{"params"});
  EXPECT_EQ(to_string(vars["params"]["outer"]["inner"]["kernel"].shape()), "[3,2]");
  EXPECT_THROW(vars["batch_stats"], ModuleError);
}

TEST(LinenScope, L_003_names_are_reserved_by_collection) {
  const auto two_collections = [](Scope& s) {
    s.variable("a", "v", [] { return scalar(1, DType::kF32); });
    s.variable("b", "v", [] { return scalar(2, DType::kF32); });
    return Tensor(0.f);
  };
  const Variables vars = linen::init(two_collections, Key(0));
  EXPECT_EQ(vars["b"]["v"].value().item<float>(), 2.f);
  const auto clash = [](Scope& s) {
    s.variable("a", "v", [] { return scalar(1, DType::kF32); });
    return s("v", linen::Dense{.features = 2}, ones({2, 3}));
  };
  EXPECT_NE(error_of([&] { linen::init(clash, Key(0)); }).find("NameInUseError"),
            std::string::npos);
}

TEST(LinenScope, L_004_L_005_L_008_L_009_reading_and_writing_variables) {
  const Variables vars = linen::init(Counter{}, Key(0), x());
  EXPECT_EQ(vars["counts"]["count"].value().item<float>(), 0.f);
  auto [y, updates] = linen::apply_with({.mutate = {"counts"}}, Counter{}, vars, x());
  EXPECT_EQ(updates["counts"]["count"].value().item<float>(), 1.f);
  EXPECT_EQ(vars["counts"]["count"].value().item<float>(), 0.f) << "the input never changes";
  const std::string text = error_of([&] { linen::apply(Counter{}, vars, x()); });
  EXPECT_NE(text.find("ModifyScopeVariableError"), std::string::npos) << text;
  EXPECT_NE(text.find("counts"), std::string::npos) << text;
  const auto reads = [](Scope& s) {
    EXPECT_FALSE(s.get_variable("nowhere", "v").defined());
    EXPECT_FALSE(s.is_mutable_collection("counts"));
    return Tensor(0.f);
  };
  linen::apply(reads, vars);
}

TEST(LinenScope, L_010_collection_filters) {
  const CollectionFilter some{"a", "b"}, all = true, none = false;
  EXPECT_TRUE(some.contains("a"));
  EXPECT_FALSE(some.contains("c"));
  EXPECT_TRUE(all.contains("c"));
  EXPECT_TRUE(none.empty());
  const CollectionFilter deny_a = CollectionFilter::deny("a"),
                         deny_ab = CollectionFilter::deny({"a", "b"});
  EXPECT_EQ(deny_a | deny_ab, deny_a);
  EXPECT_EQ(deny_a & deny_ab, deny_ab);
  EXPECT_EQ(deny_ab | CollectionFilter("a"), CollectionFilter::deny("b"));
  EXPECT_EQ(all - CollectionFilter("a"), deny_a);
  EXPECT_EQ(some - CollectionFilter("a"), CollectionFilter("b"));
  EXPECT_EQ(deny_a & some, CollectionFilter("b"));
}

TEST(LinenScope, L_012_L_014_L_015_random_streams) {
  const auto module = [](Scope& s) {
    EXPECT_TRUE(s.has_rng("params"));
    EXPECT_FALSE(s.has_rng("dropout"));
    const Key a = s.make_rng("params"), b = s.make_rng("dropout");
    return stack({a.data(), b.data()});
  };
  // docs/rng.md section 11.2: stream 0 at the root, counts 1 and 2 (`dropout` falls back to
  // `params`).
  const Tensor keys = linen::init_with_output(module, Key(0)).first;
  EXPECT_EQ(keys.to_vector<uint32_t>(),
            (std::vector<uint32_t>{1428664606, 3351135085, 3456700291, 3873160899}));
  EXPECT_NE(error_of([] {
              linen::apply([](Scope& s) { return s.make_rng("noise").data(); }, Variables());
            }).find("InvalidRngError"),
            std::string::npos);
}

TEST(LinenScope, L_016_a_scope_entered_again_frees_its_names_and_goes_on_counting) {
  const auto module = [](Scope& s) {
    Scope child = s.child("shared");
    const auto draw = [](Scope& t) { return t.make_rng().data(); };
    return stack({Scope::call(child, draw), Scope::call(child, draw)});
  };
  const auto keys = linen::init_with_output(module, Key(0)).first.to_vector<uint32_t>();
  EXPECT_NE(keys[0], keys[2]);
  const auto tied = [](Scope& s, const Tensor& y) {
    Scope child = s.child("dense");
    const linen::Dense dense{.features = 3};
    return Scope::call(child, dense, Scope::call(child, dense, y));
  };
  const Variables vars = linen::init(tied, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), std::vector<std::string>{"dense"});
}

TEST(LinenScope, L_017_scopes_end_with_their_call) {
  std::optional<Scope> kept;
  linen::init(
      [&](Scope& s) {
        kept = s;
        return Tensor(0.f);
      },
      Key(0));
  EXPECT_NE(error_of([&] { kept->make_rng(); }).find("InvalidScopeError"), std::string::npos);
}

TEST(LinenScope, L_018_L_064_apply_returns_the_mutable_collections_only) {
  Variables vars = linen::init(Counter{}, Key(0), x());
  vars.children()["other"] = Variables{{"v", scalar(3, DType::kF32)}};
  EXPECT_EQ(linen::apply_with({.mutate = {"counts"}}, Counter{}, vars, x()).second.keys(),
            std::vector<std::string>{"counts"});
  EXPECT_EQ(
      linen::apply_with({.mutate = CollectionFilter::deny("counts")}, linen::Dense{.features = 2},
                        linen::init(linen::Dense{.features = 2}, Key(0), x()), x())
          .second.keys(),
      std::vector<std::string>{"params"});
  EXPECT_EQ(linen::apply_with({.mutate = true}, Counter{}, vars, x()).second.keys(),
            (std::vector<std::string>{"counts", "other"}));
}

TEST(LinenScope, L_019_L_020_arguments_are_checked) {
  EXPECT_NE(error_of([] {
              linen::apply(Counter{}, Variables{{"params", ones({2})}}, x());
            }).find("ApplyScopeInvalidVariablesTypeError"),
            std::string::npos);
  const Variables twice{{"params", Variables{{"params", Variables{{"w", ones({2})}}}}}};
  EXPECT_NE(error_of([&] {
              linen::apply(Counter{}, twice, x());
            }).find("ApplyScopeInvalidVariablesStructureError"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              linen::init(Counter{}, {{"params", random::split(Key(0), 2)}}, x());
            }).find("InvalidRngError"),
            std::string::npos);
}

TEST(LinenScope, L_030_L_031_automatic_names_and_names_given) {
  const auto module = [](Scope& s, const Tensor& y) {
    const Tensor a = s(linen::Dense{.features = 3}, y);
    const Tensor b = s("named", linen::Dense{.features = 3}, a);
    return s(linen::Dense{.features = 3}, b);
  };
  EXPECT_EQ(linen::init(module, Key(0), x())["params"].keys(),
            (std::vector<std::string>{"Dense_0", "Dense_1", "named"}));
}

TEST(LinenScope, L_045_L_048_L_056_variables_path_and_initializing) {
  const auto module = [](Scope& s, bool init) {
    EXPECT_EQ(s.is_initializing(), init);
    s("a", [](Scope& t) {
      EXPECT_EQ(t.path(), std::vector<std::string>{"a"});
      return t.param("w", init::ones(), {2});
    });
    EXPECT_EQ(s.variables()["params"]["a"].keys(), std::vector<std::string>{"w"});
    return Tensor(0.f);
  };
  const Variables vars = linen::init(module, Key(0), true);
  linen::apply(module, vars, false);
}

TEST(LinenScope, L_049_sow_appends_to_a_tuple) {
  const auto module = [](Scope& s, const Tensor& y) {
    s.sow("intermediates", "h", y);
    s.sow("intermediates", "h", y * 2);
    return y;
  };
  EXPECT_FALSE(linen::init(module, Key(0), x()).contains("intermediates"));
  const Variables updates =
      linen::apply_with({.mutate = {"intermediates"}}, module, Variables(), x()).second;
  EXPECT_EQ(updates["intermediates"]["h"].leaf().tensors.size(), 2u);
  EXPECT_TRUE(updates["intermediates"]["h"].leaf().tuple);
}

TEST(LinenScope, L_050_perturb_gives_gradients_of_intermediates) {
  const auto module = [](Scope& s, const Tensor& y) { return sum(square(s.perturb("h", y * 3))); };
  const Variables vars = linen::init(module, Key(0), x());
  EXPECT_EQ(linen::apply(module, Variables(), x()).item<float>(), 54.f)
      << "identity without the collection";
  const Variables grads =
      grad([&](const Variables& v) { return linen::apply(module, v, x()); })(vars);
  EXPECT_EQ(grads["perturbations"]["h"].value().to_vector<float>(), std::vector<float>(6, 6.f));
  EXPECT_THROW(linen::apply(module, Variables{{"perturbations", Variables()}}, x()), ModuleError);
}

TEST(LinenScope, L_062_L_063_L_066_init_and_purity) {
  const linen::Dense dense{.features = 4};
  auto [y, vars] = linen::init_with_output(dense, Key(7), x());
  EXPECT_EQ(linen::apply(dense, vars, x()).to_vector<float>(), y.to_vector<float>());
  EXPECT_EQ(tree::leaves(linen::init(dense, {{"params", Key(7)}}, x()))[1].to_vector<float>(),
            tree::leaves(vars)[1].to_vector<float>());
}

TEST(LinenScope, L_068_init_under_eval_shape_and_jit) {
  const linen::Dense dense{.features = 4};
  const auto make = [&](const Tensor& y) { return linen::init(dense, Key(3), y); };
  const Variables shapes = eval_shape(make, x());
  EXPECT_EQ(to_string(shapes["params"]["kernel"].shape()), "[3,4]");
  const Variables plain = make(x());
  const Variables jitted = jit([&](const Tensor& y) { return make(y); })(x());
  EXPECT_EQ(jitted["params"]["kernel"].value().to_vector<float>(),
            plain["params"]["kernel"].value().to_vector<float>());
}

/// Runs a submodule with parameters, batch statistics and sown values inside a transformation.
template <class Wrap>
struct Inside {
  Wrap wrap;
  Tensor operator()(Scope& s, const Tensor& y) const {
    return wrap(
        [&s](const Tensor& z) {
          const Tensor h = s("dense", linen::Dense{.features = 3}, z);
          s.sow("intermediates", "h", h);
          return s("norm", linen::BatchNorm{.use_running_average = false}, h);
        },
        y);
  }
};
template <class Wrap>
Inside(Wrap) -> Inside<Wrap>;

TEST(LinenScope, L_068_variables_made_and_written_inside_a_transformation_are_plain) {
  const auto plain = Inside{[](auto f, const Tensor& y) { return f(y); }};
  const linen::ApplyOptions options{.mutate = {"batch_stats", "intermediates"}};
  const Variables wanted = linen::init(plain, Key(0), x());
  const auto [output, updates] = linen::apply_with(options, plain, wanted, x());
  const auto check = [&](const char* what, const auto& module) {
    const Variables made = linen::init(module, Key(0), x());
    ASSERT_EQ(to_string(made), to_string(wanted)) << what;
    const auto [y, changed] = linen::apply_with(options, module, made, x());
    ASSERT_EQ(to_string(changed), to_string(updates)) << what;
    const auto equal = [&](const Variables& a, const Variables& b) {
      const TensorList got = tree::leaves(a), expected = tree::leaves(b);
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_FALSE(got[i].traced()) << what;
        const auto g = got[i].to_vector<float>(), e = expected[i].to_vector<float>();
        for (size_t k = 0; k < g.size(); ++k) EXPECT_NEAR(g[k], e[k], 1e-5f) << what;
      }
    };
    equal(made, wanted);
    equal(changed, updates);
  };
  check("vjp", Inside{[](auto f, const Tensor& y) { return vjp(f, y).first; }});
  check("jvp", Inside{[](auto f, const Tensor& y) { return jvp(f, y, ones_like(y)).first; }});
  check("grad", Inside{[](auto f, const Tensor& y) {
          return std::get<1>(value_and_grad([&](const Tensor& z) {
            const Tensor h = f(z);
            return std::make_pair(sum(h), h);
          })(y));
        }});
  check("jit", Inside{[](auto f, const Tensor& y) {
          return jit([&](const Tensor& z) { return f(z); })(y);
        }});
  check("vmap over nothing", Inside{[](auto f, const Tensor& y) {
          return vmap([&](const Tensor&) { return f(y); }, {.out_axes = {kNone}})(zeros({2}));
        }});
  check("jit of vjp", Inside{[](auto f, const Tensor& y) {
          return jit([&](const Tensor& z) { return vjp(f, z).first; })(y);
        }});
}

TEST(LinenScope, L_068_what_eval_shape_would_make_is_absent) {
  const auto module = [](Scope& s, const Tensor& y) {
    eval_shape([&](const Tensor& z) { return s("hidden", linen::Dense{.features = 5}, z); }, y);
    return s("seen", linen::Dense{.features = 2}, y);
  };
  const Variables made = linen::init(module, Key(0), x());
  EXPECT_EQ(to_string(made), "params/seen/bias: f32[2]\nparams/seen/kernel: f32[3,2]\n");
}

TEST(LinenScope, L_068_a_batched_write_inside_is_refused_by_name) {
  const auto module = [](Scope& s, const Tensor& y) {
    return vmap([&](const Tensor& row) {
      return s("norm", linen::BatchNorm{.use_running_average = false}, reshape(row, {1, 3}));
    })(y);
  };
  const Tensor rows = random::normal(Key(1), {2, 3});
  const Variables vars = linen::init(module, Key(0), rows);
  EXPECT_NE(error_of([&] {
              linen::apply_with({.mutate = "batch_stats"}, module, vars, rows);
            }).find("vmap: variable batch_stats/norm/mean was given a value that differs"),
            std::string::npos);
}

TEST(LinenScope, L_013_names_of_a_path_are_told_apart_on_request) {
  struct Restored {
    ~Restored() { linen::set_rng_separator(false); }
  } restored;
  const auto module = [](Scope& s, const Tensor& y) {
    const Tensor a = s(
        "a", [](Scope& t, const Tensor& z) { return t("bc", linen::Dense{.features = 3}, z); }, y);
    return s(
        "ab", [](Scope& t, const Tensor& z) { return t("c", linen::Dense{.features = 3}, z); }, a);
  };
  const auto kernels_are_equal = [&] {
    const Variables vars = linen::init(module, Key(0), x());
    return vars["params"]["a"]["bc"]["kernel"].value().to_vector<float>() ==
           vars["params"]["ab"]["c"]["kernel"].value().to_vector<float>();
  };
  EXPECT_TRUE(kernels_are_equal()) << "as Flax by default";
  linen::set_rng_separator(true);
  EXPECT_FALSE(kernels_are_equal());
  // As of flax.core.scope.LazyRng with flax_fix_rng_separator: SHA-1 of "\0a\0bc\0\1".
  EXPECT_EQ(linen::apply_with(
                {.rngs = {{"params", Key(7)}}},
                [](Scope& s) {
                  Scope a = s.child("a");
                  Scope bc = a.child("bc");
                  return bc.make_rng("params").data();
                },
                Variables{})
                .first.to_vector<uint32_t>(),
            random::fold_in(Key(7), 0x2fdedc3eu).data().to_vector<uint32_t>());
}

TEST(LinenScope, L_103_to_L_108_boxes) {
  const Variables boxed = linen::partitioned(ones({2, 3}), AxisNames{"in", "out"});
  const Variables tree{{"params", Variables{{"w", boxed}, {"b", ones({3})}}}};
  EXPECT_EQ(linen::get_partition_spec(tree).at("params/w"), P("in", "out"));
  EXPECT_EQ(linen::get_partition_spec(tree).at("params/b"), P());
  EXPECT_FALSE(linen::unbox(tree)["params"]["w"].box());
  const Metadata layer{{"partition_name", std::string("layers")}};
  const Variables stacked{{"w", Variables(state::Value(ones({4, 2, 3})), boxed.box())}};
  (void)stacked;
  EXPECT_EQ(linen::get_partition_spec(linen::add_axis(tree, 0, layer)).at("params/w"),
            P("layers", "in", "out"));
}

struct Block {
  Tensor operator()(Scope& s, const Tensor& y) const {
    const Tensor h = s("dense", linen::Dense{.features = 3}, y);
    s.sow("intermediates", "hidden", h);
    return s("drop", linen::Dropout{.rate = 0.5, .deterministic = false},
             s("norm", linen::BatchNorm{.use_running_average = false}, h));
  }
};
struct Plain {
  Tensor operator()(Scope& s, const Tensor& y) const { return s("block", Block{}, y); }
};
struct Saved {
  Tensor operator()(Scope& s, const Tensor& y) const {
    return checkpoint([&](const Tensor& z) { return s("block", Block{}, z); })(y);
  }
};
struct SavedTwice {
  Tensor operator()(Scope& s, const Tensor& y) const {
    return checkpoint([&](const Tensor& z) {
      return checkpoint([&](const Tensor& u) { return s("block", Block{}, u); })(z);
    })(y);
  }
};

/// Variables that `init` makes, and what one application gives and changes.
template <class Module>
std::vector<std::vector<float>> init_and_apply(const Module& module) {
  const Tensor y = reshape(sin(arange(0.0, 12.0)), {4, 3});
  const Variables made = linen::init(module, {{"params", Key(0)}, {"dropout", Key(1)}}, y);
  const linen::ApplyOptions options{.mutate = {"batch_stats", "intermediates"},
                                    .rngs = {{"dropout", Key(2)}}};
  const auto [out, updates] = linen::apply_with(options, module, made, y);
  const Variables g = grad([&](const Variables& params) {
    return sum(square(linen::apply_with(options, module, made | params, y).first));
  })(Variables{{"params", made["params"]}});
  std::vector<std::vector<float>> all{out.template to_vector<float>()};
  for (const Variables* variables : {&made, &updates, &g}) {
    for (const Tensor& leaf : tree::leaves(*variables)) {
      EXPECT_FALSE(leaf.traced());
      all.push_back(leaf.to_vector<float>());
    }
  }
  return all;
}

TEST(LinenScope, J_086_blocks_under_checkpoint_make_and_change_variables) {
  const auto expected = init_and_apply(Plain{});
  EXPECT_EQ(expected.size(), 1u + 6 + 3 + 4);
  const auto near = [&](const std::vector<std::vector<float>>& got) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].size(), expected[i].size()) << i;
      for (size_t k = 0; k < got[i].size(); ++k)
        EXPECT_NEAR(got[i][k], expected[i][k], 1e-5f) << i << ' ' << k;
    }
  };
  near(init_and_apply(Saved{}));
  near(init_and_apply(SavedTwice{}));
}

TEST(LinenScope, J_086_variables_written_inside_grad_and_jit_of_a_submodule) {
  struct Model {
    Tensor operator()(Scope& s, const Tensor& y) const {
      Scope child = s.child("counter");
      const auto f = [&](const Tensor& z) { return sum(Scope::call(child, Counter{}, z)); };
      const Tensor g = grad(f)(y);
      return sum(g) + jit([&](const Tensor& z) { return f(z); })(y);
    }
  };
  const Variables made = linen::init(Model{}, Key(0), x());
  EXPECT_EQ(made["counts"]["counter"]["count"].value().item<float>(), 1);
  const auto [out, updates] = linen::apply_with({.mutate = {"counts"}}, Model{}, made, x());
  EXPECT_EQ(updates["counts"]["counter"]["count"].value().item<float>(), 3);
  EXPECT_EQ(out.item<float>(), 6 + 6 + 6 * 3);
}

TEST(LinenScope, variables_made_inside_eval_shape_are_not_made) {
  struct Model {
    Tensor operator()(Scope& s, const Tensor& y) const {
      eval_shape([&](const Tensor& z) { return s("dense", linen::Dense{.features = 3}, z); }, y);
      return y;
    }
  };
  EXPECT_TRUE(linen::init(Model{}, Key(0), x()).empty() ||
              !linen::init(Model{}, Key(0), x())["params"]["dense"].contains("kernel"));
}

}  // namespace
}  // namespace linnet::linen_scope_test
