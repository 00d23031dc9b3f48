// Boxes round functional variables, and the specs of whole models.
#include "linnet/linen/partitioning.h"

#include "linnet/linen/errors.h"
#include "linnet/linen/transforms.h"
#include "tests/modules/partitioning_support.h"

namespace linnet::linen_partitioning_test {
namespace {

using linen::Box;
using linen::Scope;
using linen::Variables;
using test::expect_facts;
using test::mesh24;
using test::mesh_of;
using test::no_partition;
using test::partition;
using Names = std::vector<std::optional<std::string>>;

AxisNames names_of(const Variables& leaf) {
  return *leaf.box()->metadata.get<AxisNames>("out_sharding");
}
P spec_of_leaf(const Variables& leaf) { return linen::get_partition_spec(leaf).at(""); }

/// A class of a user, with names of its own for which only it knows the rules.
Variables quantised(const Tensor& value) {
  const AxisHook added{[](Metadata& m, int64_t at, const std::optional<std::string>& name) {
    AxisNames blocks = *m.get<AxisNames>("blocks");
    blocks.names.insert(blocks.names.begin() + at, SpecEntry(name ? "block_" + *name : "block"));
    m.set("blocks", blocks);
  }};
  const AxisHook removed{[](Metadata& m, int64_t at, const std::optional<std::string>&) {
    AxisNames blocks = *m.get<AxisNames>("blocks");
    blocks.names.erase(blocks.names.begin() + at);
    m.set("blocks", blocks);
  }};
  return linen::boxed(value, Box{"Quantised",
                                 {{"blocks", AxisNames{"a", "b"}},
                                  {"bits", int64_t{4}},
                                  {"on_add_axis", std::vector<AxisHook>{added}},
                                  {"on_remove_axis", std::vector<AxisHook>{removed}}}});
}

TEST(LinenBoxes, S_086_boxes_of_a_users_class) {
  const Variables tree{{"w", quantised(ones({2, 3}))}, {"b", ones({3})}};
  const Variables added = linen::add_axis(tree, 1, partition("layers"));
  EXPECT_EQ(*added["w"].box()->metadata.get<AxisNames>("blocks"),
            (AxisNames{"a", "block_layers", "b"}));
  EXPECT_EQ(linen::remove_axis(added, 1, partition("layers"))["w"].box(), tree["w"].box());
  EXPECT_FALSE(linen::unbox(tree)["w"].box());
  const Variables updated = linen::replace_boxed(tree, linen::unbox(tree));
  EXPECT_EQ(updated["w"].box(), tree["w"].box());
  int seen = 0;
  linen::map_axis_meta(
      [&](const Variables& box) {
        ++seen;
        EXPECT_EQ(*box.box()->metadata.get<int64_t>("bits"), 4);
        return box;
      },
      tree);
  EXPECT_EQ(seen, 1);
}

TEST(LinenBoxes, S_087_S_088_S_149_maps_keep_boxes) {
  const Variables tree{
      {"kernel", linen::partitioned(ones({8, 3, 3}), {"layers", "in", "out"}, MeshAxes(mesh24()))},
      {"logical", linen::logically_partitioned(ones({2}), {"a"}, AxisRules{{{"a", "model"}}})},
      {"own", quantised(ones({2, 3}))},
      {"bias", ones({8, 3})}};
  EXPECT_EQ(tree::leaves(tree).size(), 4u) << "a box has one child";
  const Variables doubled = tree::map(tree, [](const Tensor& t) { return t * 2; });
  EXPECT_EQ(doubled["kernel"].value().to_vector<float>()[0], 2.f);
  for (const char* name : {"kernel", "logical", "own", "bias"})
    EXPECT_EQ(doubled[name].box(), tree[name].box()) << name;
  EXPECT_EQ(tree::structure(tree::unflatten(tree, tree::leaves(tree))), tree::structure(tree));
  EXPECT_EQ(linen::get_partition_spec(doubled), linen::get_partition_spec(tree));
  const Variables other_mesh{
      {"kernel", linen::partitioned(ones({8, 3, 3}), {"layers", "in", "out"})}};
  const Variables with_mesh{{"kernel", tree["kernel"]}};
  EXPECT_NE(tree::structure(other_mesh), tree::structure(with_mesh));
  // States of optimisers and gradients are trees like the parameters.
  const Variables params{{"params", tree}};
  const Variables gradients = grad([](const Variables& v) {
    return sum(square(v["params"]["kernel"].value())) + sum(v["params"]["bias"].value());
  })(params);
  EXPECT_EQ(linen::get_partition_spec(gradients), linen::get_partition_spec(params));
}

TEST(LinenBoxes, S_089_S_090_S_091_values_of_boxes) {
  const Variables inside{{"K", zeros({3, 2})}, {"b", zeros({3})}};
  const Box box{"Partitioned", {{"out_sharding", AxisNames{"data"}}}};
  const Variables tree{{"layer", linen::boxed(inside, box)}, {"bare", ones({2})}};
  EXPECT_TRUE(linen::is_axis_metadata(tree["layer"]));
  EXPECT_EQ(tree::leaves(tree).size(), 3u);
  EXPECT_NE(tree::structure(tree), tree::structure(linen::unbox(tree)));
  const Variables bare = linen::unbox(tree);
  EXPECT_FALSE(bare["layer"].box());
  EXPECT_EQ(bare["layer"]["K"].shape(), (Shape{3, 2}));
  EXPECT_EQ(tree::structure(linen::unbox(bare)), tree::structure(bare)) << "idempotent";

  const Box outer{"LogicallyPartitioned", {{"out_sharding", AxisNames{"rows"}}}};
  const Variables nested = linen::boxed(linen::boxed(ones({3}), box), outer);
  EXPECT_EQ(nested.box()->kind, "LogicallyPartitioned");
  const Variables once = linen::unbox_once(nested);
  EXPECT_EQ(once.box(), box) << "one level";
  EXPECT_FALSE(linen::unbox_once(once).box());
  EXPECT_FALSE(linen::unbox(nested).box()) << "all levels";
  EXPECT_EQ(linen::replace_boxed(nested, zeros({3})).box(), nested.box());
  const Variables longer = linen::add_axis(nested, 0, partition("layers"));
  EXPECT_EQ(spec_of_leaf(longer), P("layers", "rows"));
  EXPECT_EQ(spec_of_leaf(linen::unbox_once(longer)), P("layers", "data"));
}

TEST(LinenBoxes, S_092_S_093_replace_boxed) {
  const Variables tree{{"w", linen::partitioned(ones({2, 3}), {"in", "out"})}, {"b", ones({3})}};
  const Variables updates{{"w", zeros({2, 3})}, {"b", zeros({3})}};
  const Variables replaced = linen::replace_boxed(tree, updates);
  EXPECT_EQ(replaced["w"].box(), tree["w"].box());
  EXPECT_FALSE(replaced["b"].box());
  const Variables back = linen::unbox(replaced);
  EXPECT_EQ(tree::structure(back), tree::structure(updates));
  for (const char* name : {"w", "b"})
    EXPECT_EQ(back[name].value().impl(), updates[name].value().impl());
  EXPECT_EQ(tree::structure(linen::replace_boxed(tree, linen::unbox(tree))), tree::structure(tree));
  const auto under = [](Variables v) { return Variables{{"params", Variables{{"layer", v}}}}; };
  expect_facts<TreeError>(
      [&] {
        linen::replace_boxed(under(tree), under({{"w", zeros({2, 3})}}));
      },
      {"params/layer/b"});
  expect_facts<TreeError>(
      [&] {
        linen::replace_boxed(under({{"w", ones({2})}}),
                             under({{"w", ones({2})}, {"x", ones({1})}}));
      },
      {"params/layer/x"});
  expect_facts<TreeError>([&] { linen::replace_boxed(under(tree), under(ones({2}))); },
                          {"params/layer", "dictionary", "leaf"});
}

TEST(LinenBoxes, S_094_S_097_map_axis_meta) {
  const Variables tree{{"w", linen::partitioned(ones({2, 3}), {"in", "out"})}, {"b", ones({3})}};
  EXPECT_TRUE(linen::is_axis_metadata(tree["w"]));
  EXPECT_FALSE(linen::is_axis_metadata(tree["b"]));
  EXPECT_FALSE(linen::is_axis_metadata(tree));
  const Variables mapped = linen::map_axis_meta(
      [](const Variables& box) {
        return linen::partitioned(box.value() * 5, AxisNames{names_of(box).names.at(0)});
      },
      tree);
  EXPECT_EQ(spec_of_leaf(mapped["w"]), P("in"));
  EXPECT_EQ(mapped["w"].value().to_vector<float>()[0], 5.f);
  EXPECT_EQ(mapped["b"].value().impl(), tree["b"].value().impl());
}

TEST(LinenBoxes, S_095_S_098_S_100_S_101_new_axes) {
  EXPECT_STREQ(kPartitionName, "partition_name");
  const Variables w = linen::partitioned(ones({2, 3}), {"in", "out"});
  const Variables tree{{"w", w}, {"b", ones({3})}};
  const Variables batched = linen::add_axis(tree, 0, partition("batch"));
  EXPECT_EQ(spec_of_leaf(batched["w"]), P("batch", "in", "out"));
  EXPECT_EQ(batched["w"].value().impl(), w.value().impl()) << "arrays are not touched";
  EXPECT_FALSE(batched["b"].box());
  EXPECT_EQ(linen::remove_axis(batched, 0, partition("batch"))["w"].box(), w.box());
  const Variables stacked = linen::partitioned(ones({2, 3}), {"data", "model"});
  EXPECT_EQ(spec_of_leaf(linen::add_axis(stacked, 0, no_partition())), P(kNone, "data", "model"));
  const Variables short_names = linen::partitioned(ones({2, 3, 4}), {"in"});
  EXPECT_EQ(spec_of_leaf(linen::add_axis(short_names, 2, partition("x"))).trimmed(),
            P("in", kNone, "x"))
      << "padded with none";
}

TEST(LinenBoxes, S_096_S_104_S_105_law_adding_and_removing_are_inverse) {
  const Names pool{"a", "b", std::nullopt};
  std::mt19937 random(3);
  const auto pick = [&](size_t count) { return static_cast<size_t>(random() % count); };
  int succeeded = 0;
  for (int round = 0; round < 3000; ++round) {
    const auto rank = static_cast<int64_t>(pick(6));
    AxisNames names;
    for (size_t i = pick(static_cast<size_t>(rank) + 1); i > 0; --i)
      names.names.emplace_back(pool[pick(3)]);
    const Tensor value = zeros(Shape(static_cast<size_t>(rank), 1));
    const Variables boxes[] = {
        linen::partitioned(value, names), linen::logically_partitioned(value, names),
        linen::boxed(value, Box{"NNXMeta", {{"out_sharding", names}}, &nnx::Param::static_type()}),
        linen::boxed(value, Box{"Own", {{"out_sharding", names}, {"tag", "t"}}})};
    const Variables& box = boxes[pick(4)];
    const std::optional<std::string> name = pool[pick(3)];
    const Metadata parameters = name ? partition(name->c_str()) : no_partition();
    const int64_t at = static_cast<int64_t>(pick(static_cast<size_t>(2 * rank + 2))) - rank - 1;
    EXPECT_EQ(linen::remove_axis(linen::add_axis(box, at, parameters), at, parameters).box(),
              box.box())
        << to_string(box.box()->metadata) << " at " << at;
    if (at < -rank || at >= rank) continue;
    std::optional<Variables> without;
    try {
      without = linen::remove_axis(box, at, parameters);
    } catch (const SpecError&) {
      continue;
    }
    ++succeeded;
    EXPECT_EQ(linen::add_axis(*without, at, parameters).box(), box.box())
        << to_string(box.box()->metadata) << " at " << at;
  }
  EXPECT_GT(succeeded, 300);
}

TEST(LinenBoxes, L_106_S_099_S_106_S_112_partitioned) {
  const Tensor value = ones({2, 4, 8});
  const Mesh mesh = mesh24();
  const Variables box = linen::partitioned(value, {"data", kNone, {"model"}}, MeshAxes(mesh));
  EXPECT_EQ(spec_of_leaf(box), P("data", kNone, "model"));
  EXPECT_EQ(linen::get_sharding(box, mesh).at(""), NamedSharding(mesh, P("data", kNone, "model")));
  EXPECT_EQ(spec_of_leaf(linen::partitioned(value, {SpecEntry{"data", "model"}, kNone})),
            P(axes("data", "model"), kNone))
      << "several axes for one dimension";
  const auto same = [&](const Variables& a, const Variables& b) {
    return a.box() == b.box() && a.value().impl() == b.value().impl();
  };
  EXPECT_TRUE(same(box, linen::partitioned(value, {"data", kNone, "model"}, MeshAxes(mesh))));
  EXPECT_FALSE(same(box, linen::partitioned(value, {"data", kNone, "model"})));
  EXPECT_FALSE(same(box, linen::partitioned(value, {"data", "model"}, MeshAxes(mesh))));
  EXPECT_FALSE(same(box, linen::partitioned(zeros({2}), {"data", kNone, "model"}, MeshAxes(mesh))));
}

TEST(LinenBoxes, S_102_S_103_S_251_S_252_faults_of_new_axes) {
  const Variables w = linen::partitioned(ones({2, 3}), {"in", "out"});
  expect_facts<PartitioningUnspecifiedError>(
      [&] {
        linen::add_axis(w, 0, {{"nickname", "nick"}});
      },
      {"(in, out)", "partition_name", "nickname='nick'", "hint: add {\"partition_name\", "});
  expect_facts<PartitioningUnspecifiedError>([&] { linen::remove_axis(w, 0, {}); },
                                             {"partition_name", "{}"});
  expect_facts<SpecError>([&] { linen::remove_axis(w, 1, partition("layers")); },
                          {"'layers'", "position 1", "(in, out)", "'out'"});
}

TEST(LinenBoxes, L_106_L_109_S_107_S_108_S_131_constraints_of_boxes) {
  const auto same = [](const Variables& leaf, bool constrained = true) {
    return linen::unbox(leaf, constrained).value().impl() == leaf.value().impl();
  };
  const Tensor odd = ones({3, 4});  // which two devices cannot share
  const Variables bare = linen::partitioned(odd, {"data"});
  EXPECT_TRUE(same(bare)) << "no mesh anywhere";
  const Variables own = linen::partitioned(odd, {"data"}, MeshAxes(mesh24()));
  expect_facts<IndivisibleError>([&] { linen::unbox(own, true); }, {"dimension 0", "3", "2"});
  EXPECT_TRUE(same(own, false));
  const Variables logical =
      linen::logically_partitioned(odd, {"rows"}, AxisRules{{{"rows", "data"}}});
  EXPECT_TRUE(same(logical));
  {
    const auto scope = set_mesh(mesh24());
    expect_facts<IndivisibleError>([&] { linen::unbox(bare, true); }, {"dimension 0"});
    EXPECT_TRUE(same(linen::partitioned(odd, {"data"}, MeshAxes(mesh_of({1}, "data")))))
        << "the mesh of the box wins";
    EXPECT_EQ(linen::unbox(linen::partitioned(ones({4}), {"data"}), true).shape(), (Shape{4}));
    expect_facts<IndivisibleError>([&] { linen::unbox(logical, true); }, {"P('data',)"});
    const auto rules = logical_axis_rules({{{"rows", kNone}}});
    expect_facts<IndivisibleError>([&] { linen::unbox(logical, true); }, {"P('data',)"});
    EXPECT_TRUE(same(linen::logically_partitioned(odd, {"rows"}))) << "rules of the thread";
    EXPECT_TRUE(same(logical, false));
  }
  const auto scope = set_mesh(Mesh());
  EXPECT_TRUE(same(bare)) << "an empty mesh is none";
}

Tensor boxed_dense(Scope& s, const Tensor& x) {
  const Tensor kernel = s.param("kernel", [&](const Key& key) {
    return linen::with_partitioning(init::lecun_normal(), {"in", "out"})(key, {x.shape(-1), 4},
                                                                         DType::kF32);
  });
  return matmul(x, kernel);
}

TEST(LinenBoxes, L_107_L_109_S_110_S_132_S_143_S_144_boxing_initialisers) {
  const Key key(0);
  const auto init = init::lecun_normal();
  const Variables plain =
      linen::with_partitioning(init, {"in", "out"}, MeshAxes(mesh24()))(key, {8, 4}, DType::kF32);
  EXPECT_EQ(plain.box()->kind, "Partitioned");
  EXPECT_EQ(mesh_of(*plain.box()->metadata.get<MeshAxes>("mesh")), mesh24());
  EXPECT_EQ(plain.value().to_vector<float>(), init(key, {8, 4}, DType::kF32).to_vector<float>());
  const AxisRules rules{{{"in", "data"}}};
  const Variables logical = linen::with_logical_partitioning(
      init, {"in", "out"}, rules, MeshAxes(mesh24()))(key, {8, 4}, DType::kF32);
  EXPECT_EQ(logical.box()->kind, "LogicallyPartitioned");
  EXPECT_EQ(*logical.box()->metadata.get<AxisRules>("sharding_rules"), rules);
  EXPECT_EQ(names_of(logical), (AxisNames{"in", "out"}));

  const auto model = [&](Scope& s, const Tensor& x) {
    const Tensor y = boxed_dense(s, x);
    EXPECT_EQ(spec_of_leaf(*s.find_leaf("params", {"kernel"})), P("in", "out"));
    EXPECT_EQ(s.get_variable("params", "kernel").shape(), (Shape{2, 4}));
    const Variables scale = linen::boxed_param(
        s, "scale", [](const Key&) { return linen::partitioned(ones({4}), {"out"}); });
    EXPECT_EQ(spec_of_leaf(scale), P("out"));
    return y * scale.value();
  };
  const Variables variables = linen::init(model, key, ones({3, 2}));
  EXPECT_EQ(variables["params"]["kernel"].box()->kind, "Partitioned");
  EXPECT_EQ(linen::apply(model, variables, ones({3, 2})).shape(), (Shape{3, 4}));
}

TEST(LinenBoxes, S_111_more_names_than_dimensions) {
  const auto model = [](Scope& s, const Tensor& x) {
    return s("dense",
             linen::Dense{.features = 3,
                          .bias_init = linen::with_partitioning(init::zeros(), {"in", "out"})},
             x);
  };
  expect_facts<SpecRankError>(
      [&] {
        linen::init(model, Key(0), ones({2, 5}));
      },
      {"params/dense/bias", "P('in', 'out')", "[3]", "rank 1"});
}

TEST(LinenBoxes, S_130_S_137_S_138_S_139_specs_of_trees) {
  const Variables tree{
      {"kernel", linen::partitioned(ones({8, 3, 3}), {"layers", "in", "out"})},
      {"logical", linen::logically_partitioned(ones({2}), {"a"}, AxisRules{{{"a", "model"}}})},
      {"bias", ones({8, 3})},
      {"step", scalar(0, DType::kI32)}};
  EXPECT_EQ(linen::get_partition_spec(tree), (linen::Specs{{"kernel", P("layers", "in", "out")},
                                                           {"logical", P("a")},
                                                           {"bias", P()},
                                                           {"step", P()}}));
  const Mesh mesh = mesh_of({2, 1, 1, 1}, {"layers", "in", "out", "a"});
  const linen::Shardings shardings = linen::get_sharding(tree, mesh);
  EXPECT_EQ(shardings.at("kernel"), NamedSharding(mesh, P("layers", "in", "out")));
  EXPECT_EQ(shardings.at("step"), NamedSharding(mesh, P()));
  const auto make = [](const Tensor& x) { return linen::init(boxed_dense, Key(0), x); };
  const Variables abstract = eval_shape(make, ones({3, 2}));
  EXPECT_EQ(linen::get_partition_spec(abstract), linen::get_partition_spec(make(ones({3, 2}))));
  EXPECT_EQ(linen::get_sharding(abstract, mesh_of({1, 1}, {"in", "out"})).size(), 1u);
}

TEST(LinenBoxes, L_112_S_129_whole_trees_are_translated) {
  const AxisRules rules{{{"embed", "data"}, {"mlp", "model"}}};
  const linen::Specs logical{{"up", P("embed", "mlp")}, {"down", P("mlp", "embed")}, {"b", P()}};
  EXPECT_EQ(linen::logical_to_mesh(logical, rules),
            (linen::Specs{{"up", P("data", "model")}, {"down", P("model", "data")}, {"b", P()}}));
  const auto scope = logical_axis_rules(rules);
  EXPECT_EQ(linen::logical_to_mesh(logical), linen::logical_to_mesh(logical, rules));
  const linen::Shardings placed = linen::logical_to_mesh_sharding(logical, mesh24());
  EXPECT_EQ(placed.at("down"), NamedSharding(mesh24(), P("model", "data")));
  EXPECT_EQ(placed.size(), 3u);
}

TEST(LinenBoxes, S_142_all_faults_of_a_model_at_once) {
  const auto part = [](Shape shape, AxisNames names) {
    return linen::partitioned(ones(shape), std::move(names));
  };
  const Variables right{
      {"params", Variables{{"w", part({4, 8}, {"data", "model"})}, {"b", ones({3})}}}};
  linen::check_sharding(right, mesh24());
  const Variables wrong{
      {"params", Variables{{"unknown", part({4}, {"modle"})},
                           {"twice", part({4, 4}, {"data", "data"})},
                           {"rank", part({4}, {"data", "model"})},
                           {"size", part({4, 6}, {kNone, "model"})},
                           {"logical", linen::logically_partitioned(ones({3}), {"rows"})},
                           {"fine", part({4, 8}, {"data", "model"})}}}};
  const AxisRules rules{{{"rows", "data"}}};
  expect_facts<SpecError>([&] { linen::check_sharding(wrong, mesh24(), rules); },
                          {"5 wrong", "params/unknown", "'modle'", "params/twice", "'data'",
                           "params/rank", "rank 1", "params/size", "6", "params/logical"});
  try {
    linen::check_sharding(wrong, mesh24(), rules);
  } catch (const SpecError& e) {
    EXPECT_EQ(std::string(e.what()).find("params/fine"), std::string::npos);
  }
}

TEST(LinenBoxes, S_145_S_146_variables_keep_their_box) {
  const auto model = [](Scope& s, const Tensor& x) {
    const auto kernel = s.variable("state", "kernel", [] { return zeros({2}); });
    if (s.is_initializing()) {
      s.put_leaf("state", {"kernel"}, linen::partitioned(zeros({2}), {"in"}));
      return x;
    }
    EXPECT_FALSE(Variables(kernel.value()).box());
    kernel.set(kernel.value() + 1);
    return x + kernel.value();
  };
  const Variables made = linen::init(model, Key(0), ones({2}));
  const Variables after = linen::apply_with({.mutate = {"state"}}, model, made, ones({2})).second;
  EXPECT_EQ(after["state"]["kernel"].value().to_vector<float>(), (std::vector<float>{1, 1}));
  EXPECT_EQ(spec_of_leaf(after["state"]["kernel"]), P("in")) << "names survive +=";
  const auto other = [](Scope& s, const Tensor& x) {
    s.put_variable("state", "kernel", state::Value::tuple_of({x, x}));
    return x;
  };
  const Variables replaced =
      linen::apply_with({.mutate = {"state"}}, other, made, ones({2})).second;
  EXPECT_FALSE(replaced["state"]["kernel"].box()) << "another structure, another variable";
}

TEST(LinenBoxes, S_147_S_148_shapes_are_looked_at_through_boxes) {
  const linen::Dense dense{
      .features = 4, .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"})};
  const Variables made = linen::init(dense, Key(0), ones({3, 2}));
  EXPECT_EQ(linen::apply(dense, made, ones({3, 2})).shape(), (Shape{3, 4}));
  expect_facts<linen::ScopeParamShapeError>(
      [&] {
        linen::apply(dense, made, ones({3, 5}));
      },
      {"kernel", "[5,4]", "f32[2,4]"});
  const linen::DenseGeneral heads{
      .features = {2, 4},
      .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "heads", "out"})};
  const Variables general = linen::init(heads, Key(0), ones({3, 6}));
  EXPECT_EQ(general["params"]["kernel"].shape(), (Shape{6, 2, 4}));
  EXPECT_EQ(spec_of_leaf(general["params"]["kernel"]), P("in", "heads", "out"))
      << "drawn as a matrix, reshaped in its box";
}

TEST(LinenBoxes, S_141_initialised_and_constrained_in_one_program) {
  const Mesh mesh = mesh_of({2, 4}, {"data", "model"});
  const linen::Dense layer{.features = 8,
                           .kernel_init = linen::with_partitioning(
                               init::lecun_normal(), {"data", "model"}, MeshAxes(mesh))};
  const Tensor x = ones({2, 4});
  const auto make = [&](const Key& key) { return linen::init(layer, key, x); };
  const auto shardings = linen::get_sharding(eval_shape(make, Key(0)), mesh);
  const auto made = jit([&](const Key& key) {
    return linen::Variables(
        tree::map_with_path(make(key), [&](const std::string& path, const Tensor& value) {
          return with_sharding_constraint(value, shardings.at(path));
        }));
  })(Key(0));
  const linen::Variables& kernel = *made.find_path({"params", "kernel"});
  ASSERT_TRUE(kernel.box());
  EXPECT_EQ(kernel.box()->kind, "Partitioned");
  EXPECT_EQ(*kernel.box()->metadata.get<AxisNames>("out_sharding"), (AxisNames{"data", "model"}));
  EXPECT_EQ(mesh_of(*kernel.box()->metadata.get<MeshAxes>("mesh")), mesh);
  EXPECT_EQ(linen::get_sharding(made, mesh), shardings);
  EXPECT_EQ(kernel.value().to_vector<float>(),
            make(Key(0)).find_path({"params", "kernel"})->value().to_vector<float>());
}

TEST(LinenBoxes, S_209_layers_take_annotated_initialisers) {
  const auto check = [](const char* path, const P& spec, const auto& layer, const Tensor& x) {
    const auto specs = linen::get_partition_spec(
        eval_shape([&](const Tensor& in) { return linen::init(layer, Key(0), in); }, x));
    EXPECT_EQ(specs.at(std::string("params/") + path), spec) << path;
  };
  const auto named = [](AxisNames names) {
    return linen::with_partitioning(init::ones(), std::move(names));
  };
  const Tensor x = ones({2, 4}), row = ones({2, 6, 4});
  const linen::ParamInit kernel = named({"x", "y"}), vector = named({"y"});
  check("kernel", P("x", "y"), linen::Dense{.features = 4, .kernel_init = kernel}, x);
  check("bias", P("y"), linen::Dense{.features = 4, .bias_init = vector}, x);
  check("kernel", P("x", "y"), linen::DenseGeneral{.features = {4}, .kernel_init = kernel}, x);
  check("kernel", P("x", "y"),
        linen::Einsum{.shape = {4, 4}, .equation = "ab,bc->ac", .kernel_init = kernel}, x);
  check("embedding", P("x", "y"),
        linen::Embed{.num_embeddings = 4, .features = 4, .embedding_init = kernel},
        zeros({2}, DType::kI32));
  const linen::ParamInit window = named({kNone, "x", "y"});
  check("kernel", P(kNone, "x", "y"),
        linen::Conv{.features = 4, .kernel = {3}, .kernel_init = window}, row);
  check("kernel", P(kNone, "x", "y"),
        linen::ConvTranspose{.features = 4, .kernel = {3}, .kernel_init = window}, row);
  check("scale", P("y"), linen::BatchNorm{.use_running_average = false, .scale_init = vector}, x);
  check("bias", P("y"), linen::LayerNorm{.bias_init = vector}, x);
  check("scale", P("y"), linen::RMSNorm{.scale_init = vector}, x);
  check("scale", P("y"), linen::GroupNorm{.num_groups = 2, .scale_init = vector}, x);
  check("query/kernel", P("x", "y"), linen::SelfAttention{.heads = 2, .kernel_init = kernel}, row);
  check("cell/in/kernel", P("x", "y"),
        linen::RNN{linen::GRUCell{.features = 4, .kernel_init = kernel}}, row);
}

}  // namespace
}  // namespace linnet::linen_partitioning_test
