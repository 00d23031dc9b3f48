// vmap of functional modules and views of variables, against Flax.
#include "linnet/linen/partitioning.h"
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_map_test {
namespace {

using namespace linnet::testing::lifted;

TEST(LinenVmap, L_073_L_074_L_082_everything_stacked) {
  const auto batched = linen::vmap(Block{}, {.variable_axes = stacked(), .split_rngs = split()});
  expect_case(
      "vmap_split", [&](Scope& s, const Tensor& x) { return s(batched, x); }, normal({3, 2, 5}));
}

TEST(LinenVmap, L_082_shared_variables) {
  const auto shared = linen::vmap(Block{}, {.variable_axes = {{"params", kNone}, {"state", kNone}},
                                            .split_rngs = {{"params", false}, {"dropout", true}}});
  expect_case(
      "vmap_shared", [&](Scope& s, const Tensor& x) { return s(shared, x); }, normal({3, 2, 5}));
}

TEST(LinenVmap, L_082_L_089_negative_axes) {
  const auto axes =
      linen::vmap(Block{.counts = false}, {.variable_axes = {{"params", -1}, {"intermediates", 0}},
                                           .split_rngs = {{"params", true}, {"dropout", false}},
                                           .in_axes = {1},
                                           .out_axes = {-1}});
  expect_case(
      "vmap_axes", [&](Scope& s, const Tensor& x) { return s("b", axes, x); }, normal({2, 3, 5}));
}

TEST(LinenVmap, L_083_axis_size) {
  const auto sized = linen::vmap(linen::Dense{.features = 4}, {.variable_axes = {{"params", 0}},
                                                               .split_rngs = {{"params", true}},
                                                               .in_axes = {kNone},
                                                               .axis_size = 3});
  expect_case(
      "vmap_size", [&](Scope& s, const Tensor& x) { return s(sized, x); }, normal({2, 5}));
}

TEST(LinenVmap, L_082_nested) {
  const linen::VmapOptions options{.variable_axes = stacked(), .split_rngs = split()};
  const auto twice = linen::vmap(linen::vmap(Block{}, options), options);
  expect_case(
      "vmap_nested", [&](Scope& s, const Tensor& x) { return s(twice, x); }, normal({2, 3, 5}));
}

TEST(LinenVmap, L_073_a_function_of_the_scope_goes_on_with_its_names) {
  const auto method = [](Scope& s, const Tensor& x) {
    const Tensor y = s(linen::Dense{.features = 4}, x);
    const auto body = [](Scope& t, const Tensor& z) { return t(linen::Dense{.features = 3}, z); };
    const auto batched = linen::vmap(
        body, {.variable_axes = {{"params", kNone}}, .split_rngs = {{"params", false}}});
    return s(linen::Dense{.features = 2}, batched(s, y));
  };
  expect_case("vmap_method", method, normal({3, 2, 5}));
}

TEST(LinenVmap, L_073_L_077_several_methods_of_a_module) {
  const linen::Embed embed{.num_embeddings = 5, .features = 3};
  const auto tied = [&](Scope& s, const Tensor& tokens) {
    Scope child = s.child("embed");
    const linen::VmapOptions options{.variable_axes = {{"params", 0}},
                                     .split_rngs = {{"params", true}}};
    const auto look_up = linen::vmap(embed, options);
    const auto attend =
        linen::vmap([&](Scope& t, const Tensor& query) { return embed.attend(t, query); }, options);
    return Scope::call(child, attend, Scope::call(child, look_up, tokens));
  };
  const Tensor tokens = tensor({0, 4, 2, 1}).reshape({2, 2});
  const Variables variables = linen::init(tied, Key(0), tokens);
  const Tensor table = variables["params"]["embed"]["embedding"];
  EXPECT_EQ(table.shape(), (Shape{2, 5, 3}));
  const Tensor scores = linen::apply(tied, variables, tokens);
  const Tensor row = matmul(take(table[1], tokens[1], 0), transpose(table[1]));
  linnet::testing::expect_golden(scores[1], row, 1e-6, "scores");
}

TEST(LinenVmap, L_082_keys) {
  const auto draw = linen::vmap(Draw{}, {.split_rngs = {{"noise", true}}});
  const auto unsplit = linen::vmap(Draw{}, {.split_rngs = {{"noise", false}}});
  expect_case_values(
      "vmap_keys",
      [&](Scope& s, const Tensor& x) {
        auto first = s(draw, x);
        return std::make_pair(std::move(first), s(unsplit, x));
      },
      normal({3, 2, 5}));
  const auto none = [](Scope& s, const Tensor& x) { return s(linen::vmap(Draw{}), x); };
  EXPECT_NE(error_of([&] {
              linen::init(none, init_streams(), normal({3, 2}));
            }).find("InvalidRngError"),
            std::string::npos)
      << "a stream that is not listed is not there";
}

/// A layer that belongs to another scope, then one of its own.
struct Uses {
  Scope inner;
  LINNET_FIELDS(inner)
  Tensor operator()(Scope& s, const Tensor& x) const {
    Scope shared = inner;
    const Tensor y = Scope::call(shared, linen::Dense{.features = 5}, x);
    return s(linen::Dense{.features = 5}, y);
  }
};

TEST(LinenVmap, L_075_scopes_in_fields_and_arguments) {
  const linen::VmapOptions options{.variable_axes = {{"params", 0}},
                                   .split_rngs = {{"params", true}}};
  expect_case(
      "vmap_scopes",
      [&](Scope& s, const Tensor& x) {
        return s("uses", linen::vmap(Uses{s.child("shared")}, options), x);
      },
      normal({3, 2, 5}));
  linen::VmapOptions with_scope = options;
  with_scope.in_axes = {kNone, 0};
  const auto argument = [](Scope& s, Scope& inner, const Tensor& x) {
    const Tensor y = Scope::call(inner, linen::Dense{.features = 5}, x);
    return s(linen::Dense{.features = 5}, y);
  };
  expect_case(
      "vmap_scopes",
      [&](Scope& s, const Tensor& x) {
        return s("uses", linen::vmap(argument, with_scope), s.child("shared"), x);
      },
      normal({3, 2, 5}));
}

TEST(LinenVmap, L_075_aliases_are_one_scope_and_variables_are_lifted) {
  const auto body = [](Scope& s, Scope& child, const linen::ScopeVariable& total, const Tensor& x) {
    total.set(total.value() + sum(x));
    // The child is that of the scope that runs: what one writes the other sees.
    child.put_variable("state", "v", total.value() * 2);
    return s.get_variable("state", "total") + child.get_variable("state", "v");
  };
  const auto outer = [&](Scope& s, const Tensor& x) {
    const auto total = s.variable("state", "total", [] { return zeros({3}); });
    const auto lifted = linen::vmap(body, {.variable_axes = {{"state", 0}}});
    return lifted(s, s.child("child"), total, x);
  };
  const auto [out, variables] = linen::init_with_output(outer, Key(0), ones({3, 2}));
  EXPECT_EQ(out.to_vector<float>(), (std::vector<float>{6, 6, 6}));
  EXPECT_EQ(variables["state"]["total"].value().to_vector<float>(), (std::vector<float>{2, 2, 2}));
  EXPECT_EQ(variables["state"]["child"]["v"].value().to_vector<float>(),
            (std::vector<float>{4, 4, 4}));
}

TEST(LinenVmap, L_076_scopes_do_not_come_out) {
  const auto scope = linen::vmap([](Scope& s, const Tensor&) { return s; });
  const auto variable = linen::vmap(
      [](Scope& s, const Tensor& x) {
        return std::make_pair(x, s.variable("state", "v", [] { return Tensor(1.f); }));
      },
      {.variable_axes = {{"state", kNone}}});
  const auto run = [](const auto& lifted) {
    return error_of([&] {
      linen::init(
          [&](Scope& s, const Tensor& x) {
            lifted(s, x);
            return x;
          },
          Key(0), ones({3}));
    });
  };
  EXPECT_NE(run(scope).find("TransformedMethodReturnValueError"), std::string::npos);
  EXPECT_NE(run(variable).find("TransformedMethodReturnValueError"), std::string::npos);
}

TEST(LinenVmap, L_102_in_and_out_only) {
  const auto only = linen::vmap(
      Block{.counts = false},
      {.variable_axes = {{"params", 0}, {"state", linen::In{0}}, {"intermediates", linen::Out{0}}},
       .split_rngs = split()});
  expect_case(
      "vmap_in_out", [&](Scope& s, const Tensor& x) { return s(only, x); }, normal({3, 2, 5}));
}

TEST(LinenVmap, L_074_collections_that_are_not_named_are_not_seen) {
  const auto reads = [](Scope& s, const Tensor& x) {
    EXPECT_FALSE(s.has_variable("state", "v"));
    EXPECT_TRUE(s.has_variable("fixed", "v"));
    EXPECT_FALSE(s.is_mutable_collection("fixed")) << "comes in only";
    return x;
  };
  const auto outer = [&](Scope& s, const Tensor& x) {
    s.put_variable("state", "v", Tensor(1.f));
    s.put_variable("fixed", "v", Tensor(1.f));
    return linen::vmap(reads, {.variable_axes = {{"fixed", linen::In{kNone}}}})(s, x);
  };
  linen::init(outer, Key(0), ones({3}));
  const auto writes = [](Scope& s, const Tensor& x) {
    return s(linen::vmap(Block{}, {.variable_axes = {{"params", 0}}, .split_rngs = split()}), x);
  };
  const std::string text = error_of([&] {
    linen::init(writes, init_streams(), normal({3, 2, 5}));
  });
  EXPECT_NE(text.find("ScopeCollectionNotFound"), std::string::npos) << text;
  EXPECT_NE(text.find("'state'"), std::string::npos) << text;
}

TEST(LinenVmap, L_084_statistics_of_the_whole_batch) {
  const auto norm = linen::vmap(
      linen::BatchNorm{.use_running_average = false, .momentum = 0.5, .axis_name = "batch"},
      {.variable_axes = {{"params", kNone}, {"batch_stats", kNone}},
       .split_rngs = {{"params", false}},
       .axis_name = "batch"});
  const auto outer = [&](Scope& s, const Tensor& x) { return s("norm", norm, x); };
  expect_case("vmap_batch_norm", outer, golden("vmap_batch_norm/in/0"));
}

TEST(LinenVmap, L_032_names_inside_collide_as_outside) {
  const auto twice = [](Scope& s, const Tensor& x) {
    const Tensor y = s("layer", linen::Dense{.features = 5}, x);
    return s("layer", linen::Dense{.features = 5}, y);
  };
  const auto batched =
      linen::vmap(twice, {.variable_axes = {{"params", 0}}, .split_rngs = {{"params", true}}});
  const auto outer = [&](Scope& s, const Tensor& x) { return s("inner", batched, x); };
  const std::string text = error_of([&] { linen::init(outer, Key(0), normal({3, 2, 5})); });
  EXPECT_NE(text.find("NameInUseError: cannot create submodule 'layer' in scope /vmap(inner)"),
            std::string::npos)
      << text;
  const auto taken = [&](Scope& s, const Tensor& x) {
    s.param("inner", init::zeros(), {2});
    return s("inner", linen::vmap(linen::Dense{.features = 5}), x);
  };
  EXPECT_NE(error_of([&] {
              linen::init(taken, Key(0), normal({3, 2, 5}));
            }).find("NameInUseError"),
            std::string::npos);
}

TEST(LinenVmap, L_048_is_initializing_inside) {
  const auto tells = [](Scope& s, const Tensor& x) {
    return x * (s.is_initializing() ? 1.f : 2.f);
  };
  const auto batched = linen::vmap(tells);
  EXPECT_EQ(linen::init_with_output(batched, Key(0), ones({3})).first.to_vector<float>(),
            (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(linen::apply(batched, {}, ones({3})).to_vector<float>(), (std::vector<float>{2, 2, 2}));
}

TEST(LinenVmap, L_078_equal_transformed_modules_have_one_identity) {
  const auto identity = [](int64_t features, int64_t axis) {
    return linen::detail::identity_of(
        linen::vmap(linen::remat(linen::Dense{.features = features}),
                    {.variable_axes = {{"params", axis}},
                     .metadata_params = {{"partition_name", std::string("expert")}}}));
  };
  EXPECT_EQ(identity(4, 0), identity(4, 0));
  EXPECT_NE(identity(4, 0), identity(5, 0));
  EXPECT_NE(identity(4, 0), identity(4, 1));
  const auto compiled = [] {
    return linen::detail::identity_of(linen::jit(linen::Dense{.features = 4}));
  };
  EXPECT_EQ(compiled(), compiled());
}

TEST(LinenVmap, L_083_sizes_must_agree) {
  const auto add = [](Scope&, const Tensor& a, const Tensor& b) { return a + b; };
  const auto run = [&](linen::VmapOptions options, const Tensor& a, const Tensor& b) {
    return error_of([&] { linen::init(linen::vmap(add, std::move(options)), Key(0), a, b); });
  };
  EXPECT_NE(run({}, ones({3}), ones({4})).find("inconsistent batch axis sizes: 3, 4"),
            std::string::npos);
  EXPECT_NE(run({.in_axes = {kNone, kNone}}, ones({3}), ones({3})).find("axis_size"),
            std::string::npos);
}

TEST(LinenVmap, L_082_a_shared_variable_that_differs_is_refused) {
  const auto writes = [](Scope& s, const Tensor& x) {
    s.variable("state", "v", [&] { return x; });
    return x;
  };
  const std::string text = error_of([&] {
    linen::init(linen::vmap(writes, {.variable_axes = {{"state", kNone}}}), Key(0), ones({3}));
  });
  EXPECT_NE(text.find("differs between the elements of the batch"), std::string::npos) << text;
}

TEST(LinenMapVariables, L_091_tied_weights) {
  const auto transposed = [](Scope& s, const Tensor& x) {
    Scope child = s.child("tied");
    const linen::Dense dense{.features = 5, .use_bias = false};
    const Tensor y = tanh(Scope::call(child, dense, x));
    const linen::VariableMap flip = [](const Variables& variables) {
      return tree::map(variables, [](const Tensor& t) { return transpose(t); });
    };
    return Scope::call(child, linen::map_variables(dense, "params", {.in = flip}), y);
  };
  expect_case("map_tied", transposed, normal({2, 5}));
}

linen::VariableMap each(std::function<Tensor(const Tensor&)> f) {
  return [f](const Variables& variables) { return tree::map(variables, f); };
}

TEST(LinenMapVariables, L_091_init_makes_the_variables_first) {
  const auto bits = [](Scope& s, const Tensor& x) {
    return s(linen::map_variables(linen::Dense{.features = 4}, "params",
                                  {.in = each([](const Tensor& t) { return sign(t); }),
                                   .init = s.is_initializing()}),
             x);
  };
  expect_case("map_init", bits, normal({2, 5}));
}

TEST(LinenMapVariables, L_091_mutable_collections_go_both_ways) {
  const auto state = linen::map_variables(Block{}, "state",
                                          {.in = each([](const Tensor& t) { return t / 2; }),
                                           .out = each([](const Tensor& t) { return 2 * t; }),
                                           .mutate = true});
  expect_case(
      "map_mutable", [&](Scope& s, const Tensor& x) { return s(state, x); }, normal({2, 5}));
  const auto read_only = linen::map_variables(Block{}, "state");
  const std::string text = error_of([&] { linen::init(read_only, init_streams(), ones({2, 5})); });
  EXPECT_NE(text.find("'state'"), std::string::npos) << text;
}

TEST(LinenMapVariables, L_092_exchanged_collections) {
  const auto swapped = linen::swap_collection(
      [](Scope& s) {
        const Tensor a = s.get_variable("a", "v");
        s.put_variable("b", "v", a * 10);
        return a;
      },
      "a", "b");
  const Variables before{{"b", Variables{{"v", scalar(3, DType::kF32)}}}};
  const auto [out, updates] = linen::apply_with({.mutate = {"a", "b"}}, swapped, before);
  EXPECT_EQ(out.item<float>(), 3.f);
  EXPECT_EQ(updates["a"]["v"].value().item<float>(), 30.f);
}

/// Dense with boxed parameters.
linen::Dense named_dense() {
  return {.features = 4,
          .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"}),
          .bias_init = linen::with_partitioning(init::zeros(), {"out"})};
}

TEST(LinenVmap, L_101_boxes_get_the_axis) {
  const auto batched = [](const Metadata& parameters, int64_t axis) {
    return linen::vmap(named_dense(), {.variable_axes = {{"params", axis}},
                                       .split_rngs = {{"params", true}},
                                       .metadata_params = parameters});
  };
  const Metadata expert{{"partition_name", std::string("expert")}};
  const Tensor x = normal({3, 2, 5});
  const auto spec = [](const Variables& variables, const char* path) {
    return linen::get_partition_spec(variables).at(path);
  };
  const Variables front = linen::init(batched(expert, 0), Key(0), x);
  EXPECT_EQ(spec(front, "params/kernel"), P("expert", "in", "out"));
  EXPECT_EQ(spec(front, "params/bias"), P("expert", "out"));
  EXPECT_EQ(front["params"]["kernel"].box()->metadata.axes_beside_array(), 0);
  const Variables second = linen::init(batched(expert, 1), Key(0), x);
  EXPECT_EQ(spec(second, "params/kernel"), P("in", "expert", "out"));
  EXPECT_EQ(spec(second, "params/bias"), P("out", "expert"));
  EXPECT_EQ(second["params"]["kernel"].shape(), (Shape{5, 3, 4}));
  const auto rewrite = [&](Scope& s, const Tensor& y) { return batched(expert, 0)(s, y); };
  EXPECT_EQ(spec(linen::apply_with({.mutate = true}, rewrite, front, x).second, "params/kernel"),
            P("expert", "in", "out"))
      << "removed on the way in, added on the way out";
  EXPECT_NE(error_of([&] {
              linen::init(batched({}, 0), Key(0), x);
            }).find("PartitioningUnspecifiedError"),
            std::string::npos);
}

TEST(LinenMapVariables, L_100_metadata_axis_alone) {
  const Metadata layers{{"partition_name", std::string("layers")}};
  const auto annotated = linen::add_metadata_axis(named_dense(), {"params", 0}, layers);
  const Variables variables = linen::init(annotated, Key(0), ones({2, 5}));
  EXPECT_EQ(linen::get_partition_spec(variables).at("params/kernel"), P("layers", "in", "out"));
  EXPECT_EQ(variables["params"]["kernel"].shape(), (Shape{5, 4}));
  const auto inside = linen::add_metadata_axis(
      [](Scope& s, const Tensor& x) {
        EXPECT_EQ(linen::get_partition_spec(s.variables()).at("params/kernel"), P("in", "out"));
        return named_dense()(s, x);
      },
      {"params", 0}, layers);
  linen::apply(inside, variables, ones({2, 5}));
}

}  // namespace
}  // namespace linnet::linen_transforms_map_test
