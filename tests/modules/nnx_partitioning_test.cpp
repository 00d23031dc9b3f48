// Annotations of object modules: specs of variables, eager sharding, axes under transformations.
#include "linnet/nnx/partitioning.h"

#include <thread>

#include "linnet/log.h"
#include "linnet/nnx/graph_tools.h"
#include "tests/modules/partitioning_support.h"

namespace linnet::nnx_partitioning_test {
namespace {

using test::expect_facts;
using test::mesh24;
using test::mesh_of;
using test::partition;

AxisNames names_of(const nnx::Variable& v) { return *v.metadata().get<AxisNames>("out_sharding"); }
nnx::Param annotated(AxisNames names, Shape shape = {4, 8}) {
  return nnx::Param(ones(shape), Metadata{{"out_sharding", std::move(names)}});
}

struct Mlp {
  nnx::Linear up, down;
  nnx::Param scale;
  explicit Mlp(nnx::Rngs& rngs)
      : up(4, 8, {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {"embed", "mlp"})},
           rngs),
        down(8, 4,
             {.kernel_metadata = {{"out_sharding", AxisNames{"mlp", "embed"}},
                                  {"sharding_rules", AxisRules{{{"mlp", "model"}}}}}},
             rngs),
        scale(ones({4})) {}
  LINNET_FIELDS(up, down, scale)
};
Mlp make_mlp() {
  nnx::Rngs rngs(0);
  return Mlp(rngs);
}

TEST(NnxPartitioning, S_165_keys_with_a_meaning) {
  const AxisRules rules{{{"rows", "data"}}};
  const nnx::Param w(ones({2}), {{"out_sharding", AxisNames{"rows"}},
                                 {"sharding_rules", rules},
                                 {"mesh", MeshAxes(mesh24())},
                                 {"eager_sharding", false},
                                 {"optimizer_sharding", AxisNames{"rows"}}});
  EXPECT_EQ(names_of(w), AxisNames{"rows"});
  EXPECT_EQ(*w.metadata().get<AxisRules>("sharding_rules"), rules);
  EXPECT_EQ(mesh_of(*w.metadata().get<MeshAxes>("mesh")), mesh24());
  EXPECT_EQ(nnx::get_var_pspec(w), P("data"));
  EXPECT_EQ(*w.metadata().get<AxisNames>("optimizer_sharding"), AxisNames{"rows"});
  // A spec or a named sharding in place of the tuple.
  const NamedSharding named(mesh24(), P(kNone, axes("data", "model")));
  const nnx::Param v(ones({2, 8}), sharding_metadata(named));
  EXPECT_EQ(nnx::get_var_pspec(v), named.spec());
  EXPECT_EQ(nnx::as_abstract(nnx::state(v)).at(""), named);
}

TEST(NnxPartitioning, S_166_old_names_and_one_notice) {
  // In a process of its own, in which nobody has used an old name yet.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto notices = [] {
    int count = 0;
    set_log_sink([&](std::string_view topic, std::string_view text) {
      count += topic == "warning" && text.find("old names") != std::string_view::npos;
    });
    for (int i = 0; i < 3; ++i) Metadata{{"sharding", AxisNames{"x"}}}.find("sharding_names");
    return count;
  };
  EXPECT_EXIT(std::exit(notices()), ::testing::ExitedWithCode(1), "");
  for (const char* name : {"sharding", "sharding_names"}) {
    nnx::Param w(ones({2}), {{name, AxisNames{"data"}}});
    EXPECT_EQ(names_of(w), AxisNames{"data"});
    EXPECT_EQ(*w.metadata().get<AxisNames>(name), AxisNames{"data"});
    w.set_metadata(name, AxisNames{"model"});
    EXPECT_EQ(names_of(w), AxisNames{"model"});
  }
}

TEST(NnxPartitioning, S_167_annotating_initialisers) {
  nnx::Rngs rngs(0), same(0);
  const nnx::Linear layer(
      2, 4,
      {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {"data", kNone},
                                             MeshAxes(mesh24()), {{"tag", "t"}})},
      rngs);
  EXPECT_EQ(names_of(layer.kernel), (AxisNames{"data"}));
  EXPECT_EQ(mesh_of(*layer.kernel.metadata().get<MeshAxes>("mesh")), mesh24());
  EXPECT_EQ(*layer.kernel.metadata().get<std::string>("tag"), "t");
  const nnx::Linear plain(2, 4, {.kernel_init = init::lecun_normal()}, same);
  EXPECT_EQ(layer.kernel.value().to_vector<float>(), plain.kernel.value().to_vector<float>());
}

TEST(NnxPartitioning, S_168_what_a_variable_is_stays) {
  nnx::Param w(ones({2}), {{"eager_sharding", false}, {"tag", "t"}});
  for (const char* name : {"hijax", "ref", "eager_sharding"}) {
    expect_facts<ModuleError>([&] { w.set_metadata(name, true); }, {"Param", name});
    expect_facts<ModuleError>([&] { nnx::del_metadata(w, name); }, {"Param", name});
    expect_facts<ModuleError>([&] { nnx::set_metadata(w, {{name, true}}); }, {name});
  }
  w.set_metadata("eager_sharding", false);  // as it is
  nnx::del_metadata(w, "tag");
  EXPECT_FALSE(w.metadata().has("tag"));
}

TEST(NnxPartitioning, S_169_N_152_spec_of_a_variable) {
  EXPECT_EQ(nnx::get_var_pspec(annotated({"a", kNone})), P("a", kNone)) << "no rules: mesh axes";
  EXPECT_EQ(nnx::get_var_pspec(nnx::Param(ones({2, 3}))), P());
  EXPECT_EQ(nnx::get_var_pspec(annotated({})), P());
  EXPECT_EQ(nnx::get_var_pspec(nnx::Intermediate(state::Value::tuple_of({ones({2}), ones({1})}))),
            std::nullopt);
  const nnx::Param w(ones({4, 8}), {{"out_sharding", AxisNames{"row", "col"}},
                                    {"sharding_rules", AxisRules{{{"row", "data"}}}}});
  EXPECT_EQ(nnx::get_var_pspec(w), P("data", "col"));
  const auto scope = logical_axis_rules({{{"col", "model"}}});
  EXPECT_EQ(nnx::get_var_pspec(w), P("data", "model")) << "both kinds of rules";
}

TEST(NnxPartitioning, S_170_N_150_N_151_specs_of_modules_and_states) {
  Mlp model = make_mlp();
  const nnx::Specs specs{{"up/kernel", P("embed", "mlp")},
                         {"up/bias", P()},
                         {"down/kernel", P("model", "embed")},
                         {"down/bias", P()},
                         {"scale", P()}};
  EXPECT_EQ(nnx::get_partition_spec(model), specs);
  const nnx::State state = nnx::state(model);
  EXPECT_EQ(nnx::get_partition_spec(state), specs);
  auto abstract = eval_shape(make_mlp);
  EXPECT_EQ(nnx::get_partition_spec(abstract), specs);
  const Mesh mesh = mesh_of({2, 1, 1}, {"model", "embed", "mlp"});
  const nnx::Shardings shardings = nnx::get_named_sharding(model, mesh);
  EXPECT_EQ(shardings.size(), 5u);
  EXPECT_EQ(shardings.at("down/kernel"), NamedSharding(mesh, P("model", "embed")));
  EXPECT_EQ(nnx::get_named_sharding(state, mesh), shardings);
  expect_facts<UnknownAxisError>([&] { nnx::get_named_sharding(model, mesh24()); }, {"P("});
}

/// A layer that is reached in two ways.
struct Tied {
  nnx::Shared<nnx::Linear> table, again;
  explicit Tied(nnx::Rngs& rngs)
      : table(nnx::Shared<nnx::Linear>::make(
            4, 8,
            nnx::LinearOptions{.use_bias = false,
                               .kernel_metadata = {{"out_sharding", AxisNames{"data", "model"}}}},
            rngs)),
        again(table) {}
  LINNET_FIELDS(table, again)
};

TEST(NnxPartitioning, S_171_N_154_abstract_models) {
  const Mesh mesh = mesh24();
  const auto make = [] {
    nnx::Rngs rngs(0);
    return Tied(rngs);
  };
  const nnx::AbstractModel model = nnx::get_abstract_model(make, mesh);
  ASSERT_EQ(model.state.size(), 1u) << "a shared variable occurs once";
  const nnx::StateLeaf& leaf = *model.state.find("table/kernel");
  EXPECT_EQ(to_string(leaf.value().type()), "f32[4,8]");
  EXPECT_EQ(model.shardings.at("table/kernel"), NamedSharding(mesh, P("data", "model")));
  EXPECT_FALSE(model.graphdef.text().empty());
  EXPECT_TRUE(get_mesh().empty());

  struct Several {
    nnx::Param own = nnx::Param(
        ones({4}), {{"out_sharding", AxisNames{"x"}}, {"mesh", MeshAxes(mesh_of({2}, "x"))}});
    nnx::Param current = annotated({"data"});
    nnx::Param bare = nnx::Param(ones({4}));
    LINNET_FIELDS(own, current, bare)
  };
  auto abstract = eval_shape([] { return Several(); });
  EXPECT_EQ(nnx::as_abstract(abstract).size(), 1u) << "without a current mesh only its own";
  const auto scope = use_abstract_mesh(mesh.abstract());
  const nnx::Shardings shardings = nnx::as_abstract(abstract);
  EXPECT_EQ(shardings.size(), 2u);
  EXPECT_EQ(shardings.at("own"), NamedSharding(mesh_of({2}, "x"), P("x")));
  EXPECT_EQ(shardings.at("current"), NamedSharding(mesh.abstract(), P("data")));
}

TEST(NnxPartitioning, S_172_shape_evaluation_keeps_annotations) {
  const nnx::Param w(ones({4, 8}), sharding_metadata(NamedSharding(mesh24(), P("data"))));
  const auto same = eval_shape([](const nnx::Param& v) { return v; }, w);
  EXPECT_EQ(same.metadata(), w.metadata());
  EXPECT_EQ(nnx::as_abstract(nnx::state(same)), nnx::as_abstract(nnx::state(w)));
}

TEST(NnxPartitioning, S_174_N_017_who_decides_about_eager_sharding) {
  EXPECT_TRUE(nnx::using_eager_sharding()) << "the default";
  {
    const auto off = nnx::use_eager_sharding(false);
    EXPECT_FALSE(nnx::using_eager_sharding());
    try {
      const auto on = nnx::use_eager_sharding(true);
      EXPECT_TRUE(nnx::using_eager_sharding());
      throw std::runtime_error("left early");
    } catch (const std::runtime_error&) {
    }
    EXPECT_FALSE(nnx::using_eager_sharding());
    std::thread([] { EXPECT_TRUE(nnx::using_eager_sharding()) << "per thread"; }).join();
  }
  std::thread([] {
    nnx::use_eager_sharding(false).release();
    EXPECT_FALSE(nnx::using_eager_sharding()) << "for the rest of the thread";
  }).join();
  nnx::set_eager_sharding(false);
  EXPECT_FALSE(nnx::using_eager_sharding());
  {
    EXPECT_TRUE([] {
      const auto on = nnx::use_eager_sharding(true);
      return nnx::using_eager_sharding();
    }());
  }
  nnx::set_eager_sharding(true);

  const auto mesh = set_mesh(mesh24());
  const auto make = [](std::optional<bool> own) {
    Metadata metadata{{"out_sharding", AxisNames{"data"}}};  // 2 does not divide 3
    if (own) metadata.set("eager_sharding", *own);
    return nnx::Param(ones({3}), metadata);
  };
  expect_facts<IndivisibleError>([&] { make({}); }, {"dimension 0", "3", "2"});
  EXPECT_EQ(make(false).shape(), (Shape{3})) << "the variable has the last word";
  const auto off = nnx::use_eager_sharding(false);
  EXPECT_EQ(make({}).shape(), (Shape{3}));
  expect_facts<IndivisibleError>([&] { make(true); }, {"dimension 0"});
}

TEST(NnxPartitioning, S_175_two_opinions_about_eager_sharding) {
  const auto make = [](bool of_initialiser, bool of_layer) {
    nnx::Rngs rngs(0);
    return nnx::Linear(2, 4,
                       {.kernel_init = nnx::with_partitioning(init::zeros(), {"data"}, {},
                                                              {{"eager_sharding", of_initialiser}}),
                        .kernel_metadata = {{"eager_sharding", of_layer}}},
                       rngs);
  };
  expect_facts<ValueError>([&] { make(true, false); }, {"initialiser", "layer", "eager_sharding"});
  EXPECT_FALSE(*make(false, false).kernel.metadata().get<bool>("eager_sharding"));
}

TEST(NnxPartitioning, S_176_S_177_what_is_left_alone) {
  const auto mesh = set_mesh(mesh24());
  const Tensor value = ones({3, 5});
  {
    const auto off = nnx::use_eager_sharding(false);
    const nnx::Param w(value, Metadata{{"out_sharding", AxisNames{"data", "modle"}}});
    EXPECT_EQ(w.value().impl(), value.impl());
    EXPECT_EQ(names_of(w), (AxisNames{"data", "modle"})) << "the annotation is kept";
  }
  set_mesh(Mesh()).release();
  nnx::set_eager_sharding_needs_mesh(true);
  EXPECT_EQ(nnx::Param(value, Metadata{{"out_sharding", AxisNames{}}}).value().impl(),
            value.impl());
  EXPECT_EQ(nnx::Param(value, Metadata{{"out_sharding", std::monostate()}}).value().impl(),
            value.impl());
  nnx::set_eager_sharding_needs_mesh(false);
}

TEST(NnxPartitioning, S_178_S_179_S_253_N_017_annotation_without_a_mesh) {
  EXPECT_FALSE(nnx::eager_sharding_needs_mesh());
  EXPECT_EQ(annotated({"data"}).shape(), (Shape{4, 8})) << "no mesh is one device";
  nnx::set_eager_sharding_needs_mesh(true);
  expect_facts<MeshError>(
      [] {
        annotated({"data", kNone});
      },
      {"Param", "P('data', None)", "set_mesh", "metadata (mesh)", "use_eager_sharding(false)"});
  {
    const auto scope = set_mesh(mesh24());
    EXPECT_EQ(annotated({"data"}).shape(), (Shape{4, 8}));
  }
  EXPECT_EQ(nnx::Param(ones({4}), sharding_metadata(NamedSharding(mesh24(), P("data")))).shape(),
            (Shape{4}));
  nnx::set_eager_sharding_needs_mesh(false);
}

TEST(NnxPartitioning, S_254_S_255_N_017_meshes_that_do_not_fit) {
  const Mesh mixed = mesh_of({2, 4}, {"data", "model"}, {AxisType::kAuto, AxisType::kExplicit});
  const auto scope = set_mesh(mixed);
  expect_facts<MeshError>([] { annotated({"data"}); }, {"Param", "(Auto, Explicit)"});
  const NamedSharding sharding(mesh24(), P("data"));
  expect_facts<MeshError>([&] { nnx::with_partitioning(init::zeros(), sharding, MeshAxes(mixed)); },
                          {to_string(mesh24()), to_string(mixed)});
  EXPECT_EQ(nnx::with_partitioning(init::zeros(), sharding, MeshAxes(mesh24())).metadata,
            sharding_metadata(sharding));
}

TEST(NnxPartitioning, S_187_hooks_see_each_axis_once) {
  std::vector<std::string> calls;
  const auto hook = [&](const char* what) {
    return AxisHook{[&calls, what](Metadata&, int64_t at, const std::optional<std::string>& name) {
      calls.push_back(std::string(what) + " " + std::to_string(at) + " " + name.value_or("none"));
    }};
  };
  const std::vector<AxisHook> add{hook("add")}, remove{hook("remove")};
  for (const bool sharded : {true, false}) {
    calls.clear();
    Metadata metadata{{"on_add_axis", add}, {"on_remove_axis", remove}};
    if (sharded) metadata.set("out_sharding", AxisNames{"in", "out"});
    nnx::Rngs rngs(0);
    nnx::Param w = nnx::split_rngs(
        {.splits = 3}, nnx::vmap(
                           [&](nnx::Rngs& r) {
                             return nnx::Param(random::normal(r(), {2, 2}), metadata);
                           },
                           {.out_axes = {1}, .transform_metadata = partition("layers")}))(rngs);
    EXPECT_EQ(calls, std::vector<std::string>{"add 1 layers"}) << "making: one add";
    calls.clear();
    nnx::scan([](const Tensor& x, nnx::Param& each) { return matmul(x, each); },
              {.in_axes = {nnx::kCarry, 1},
               .out_axes = {nnx::kCarry},
               .transform_metadata = partition("layers")})(ones({1, 2}), w);
    EXPECT_EQ(calls, (std::vector<std::string>{"remove 1 layers", "add 1 layers"}))
        << "a call: one of each";
  }
}

TEST(NnxPartitioning, S_189_S_190_S_191_axes_of_states) {
  nnx::Param w = annotated({"in"}, {2, 3, 4}), bare(ones({2}));
  const nnx::State state = nnx::state(w);
  nnx::add_axis(state, 2, partition("layers"));
  EXPECT_EQ(nnx::get_var_pspec(w)->trimmed(), P("in", kNone, "layers")) << "padded with none";
  expect_facts<SpecError>([&] { nnx::remove_axis(state, 2, partition("blocks")); },
                          {"'blocks'", "position 2", "(in, none, layers", "'layers'"});
  nnx::remove_axis(state, 2, partition("layers"));
  EXPECT_EQ(names_of(w), AxisNames{"in"});
  expect_facts<PartitioningUnspecifiedError>(
      [&] {
        nnx::add_axis(state, 0, {{"nickname", "nick"}});
      },
      {"partition_name", "nickname='nick'"});
  expect_facts<PartitioningUnspecifiedError>([&] { nnx::remove_axis(state, 0, {}); }, {"{}"});
  nnx::add_axis(nnx::state(bare), 0, {});
  EXPECT_TRUE(bare.metadata().empty()) << "nothing is annotated";
}

TEST(NnxPartitioning, S_192_axes_without_arrays) {
  nnx::Param a(ones({2, 3}), Metadata{{"out_sharding", AxisNames{"din", "dout"}}});
  const auto enter = nnx::transform_metadata(
      [](nnx::Param& each) {
        EXPECT_EQ(names_of(each), AxisNames{"dout"});
        return nnx::Param(ones({2, 3}), Metadata{{"out_sharding", AxisNames{"dmid", "dout"}}});
      },
      {.in_axes = {0}, .out_axes = {1}, .partition = "din"});
  EXPECT_EQ(names_of(enter(a)), (AxisNames{"dmid", "din", "dout"}));
  EXPECT_EQ(names_of(a), (AxisNames{"din", "dout"}));
  nnx::Param none(ones({2, 3}), Metadata{{"out_sharding", AxisNames{kNone, "dout"}}});
  nnx::transform_metadata(
      [](nnx::Param& each) {
        EXPECT_EQ(names_of(each), AxisNames{"dout"});
        return sum(each.value());
      },
      {.in_axes = {0}, .partition = std::nullopt})(none);
  EXPECT_EQ(names_of(none), (AxisNames{kNone, "dout"}));
}

TEST(NnxPartitioning, S_193_specs_and_named_shardings_get_axes_too) {
  const Mesh mesh = mesh_of({1, 2, 4}, {"layers", "data", "model"});
  const auto check = [&](const Metadata& metadata, const P& expected) {
    const nnx::Param w(ones({8, 8}), metadata);
    nnx::add_axis(nnx::state(w), 0, partition("layers"));
    EXPECT_EQ(nnx::get_var_pspec(w), expected);
    nnx::remove_axis(nnx::state(w), 0, partition("layers"));
    EXPECT_EQ(w.metadata(), metadata);
  };
  const P spec(axes("data", "model"), kNone);
  check(sharding_metadata(NamedSharding(mesh, spec)), P("layers", axes("data", "model"), kNone));
  check({{"out_sharding", AxisNames(spec.entries())}}, P("layers", axes("data", "model"), kNone));
}

TEST(NnxPartitioning, S_180_which_mesh_a_new_variable_is_checked_against) {
  const Mesh two = mesh_of({2}, "x"), three = mesh_of({3}, "x"), four = mesh_of({4}, "x");
  const auto make = [](Metadata metadata) { return nnx::Param(ones({6}), std::move(metadata)); };
  const AxisNames x{"x"};
  EXPECT_NO_THROW(make({{"out_sharding", x}})) << "no mesh at all";
  const auto scope = set_mesh(four);
  expect_facts<IndivisibleError>([&] { make({{"out_sharding", x}}); }, {"6", "4"});
  EXPECT_NO_THROW(make({{"out_sharding", x}, {"mesh", MeshAxes(two)}})) << "its own comes first";
  EXPECT_NO_THROW(make(sharding_metadata(NamedSharding(three, P("x")))));
  expect_facts<MeshError>(
      [&] { nnx::with_partitioning(init::ones(), NamedSharding(two, P("x")), MeshAxes(three)); },
      {to_string(two), to_string(three)});
}

TEST(NnxPartitioning, S_182_hooks_run_before_the_check) {
  const ValueHook doubled{[](const Tensor& value) { return concatenate({value, value}, 0); }};
  const Metadata metadata{{"out_sharding", AxisNames{"model"}},
                          {"on_create_value", std::vector<ValueHook>{doubled}}};
  const auto scope = set_mesh(mesh24());
  EXPECT_EQ(nnx::Param(ones({2}), metadata).shape(), (Shape{4})) << "4 divides what the hook made";
  expect_facts<IndivisibleError>([&] { nnx::Param(ones({3}), metadata); }, {"6", "4"});
}

TEST(NnxPartitioning, S_183_N_153_forms_of_out_sharding) {
  const auto scope = set_mesh(mesh24());
  const nnx::Param names(ones({4, 8}), {{"out_sharding", AxisNames{kNone, "model"}}});
  const nnx::Param spec(ones({4, 8}), {{"out_sharding", AxisNames(P(kNone, "model").entries())}});
  const NamedSharding named(mesh24(), P(kNone, "model"));
  const nnx::Param sharding(ones({4, 8}), sharding_metadata(named));
  for (const nnx::Param& w : {names, spec, sharding}) {
    EXPECT_EQ(nnx::get_var_pspec(w), P(kNone, "model"));
    EXPECT_EQ(nnx::as_abstract(nnx::state(w)).at(""), named);
  }
  EXPECT_EQ(mesh_of(*sharding.metadata().get<MeshAxes>("mesh")), mesh24()) << "with its mesh";
  EXPECT_FALSE(names.metadata().has("mesh"));
}

TEST(NnxPartitioning, S_185_rules_of_the_context_and_of_the_variable) {
  const Mesh mesh = mesh_of({2, 4}, {"row", "col"});
  const auto scope = set_mesh(mesh);
  const auto rules = logical_axis_rules({{{"col-alias", "col"}}});
  const auto make = [](Shape shape) {
    return nnx::Param(ones(shape), {{"out_sharding", AxisNames{"row-alias", "col-alias"}},
                                    {"sharding_rules", AxisRules{{{"row-alias", "row"}}}}});
  };
  const nnx::Param w = make({4, 8});
  EXPECT_EQ(nnx::as_abstract(nnx::state(w)).at(""), NamedSharding(mesh, P("row", "col")));
  expect_facts<IndivisibleError>([&] { make({4, 6}); }, {"P('row', 'col')", "6", "4"});
}

TEST(NnxPartitioning, S_194_scanned_layers_on_a_mesh) {
  const auto scope = set_mesh(mesh_of({1, 2, 2}, {"layers", "din", "dout"}));
  const auto init = nnx::with_partitioning(init::lecun_normal(), {"din", "dout"});
  nnx::Rngs rngs(0);
  nnx::Linear stacked = nnx::split_rngs(
      {.splits = 5}, nnx::vmap(
                         [&](nnx::Rngs& each) {
                           nnx::Linear layer(4, 4, {.use_bias = false, .kernel_init = init}, each);
                           EXPECT_EQ(names_of(layer.kernel), (AxisNames{"din", "dout"}));
                           EXPECT_EQ(layer.kernel.shape(), (Shape{4, 4}));
                           return layer;
                         },
                         {.transform_metadata = partition("layers")}))(rngs);
  const auto outside = [&] {
    EXPECT_EQ(stacked.kernel.shape(), (Shape{5, 4, 4}));
    EXPECT_EQ(names_of(stacked.kernel), (AxisNames{"layers", "din", "dout"}));
  };
  outside();
  nnx::scan(
      [](const Tensor& x, nnx::Linear& layer) {
        EXPECT_EQ(layer.kernel.shape(), (Shape{4, 4}));
        EXPECT_EQ(names_of(layer.kernel), (AxisNames{"din", "dout"}));
        return layer(x);
      },
      {.in_axes = {nnx::kCarry, 0},
       .out_axes = {nnx::kCarry},
       .transform_metadata = partition("layers")})(ones({1, 4}), stacked);
  outside();
}

TEST(NnxPartitioning, S_209_layers_take_annotated_initialisers_and_metadata) {
  nnx::Rngs rngs(0);
  const Mesh mesh = mesh_of({2, 2}, {"x", "y"});
  const auto on_mesh = [&](const AxisNames& names) {
    return nnx::with_partitioning(init::ones(), names, MeshAxes(mesh));
  };
  const auto metadata = [&](const AxisNames& names) {
    return Metadata{{"out_sharding", names}, {"mesh", MeshAxes(mesh)}};
  };
  const auto check = [&](const char* layer, const nnx::Variable& variable, const P& spec) {
    EXPECT_EQ(nnx::get_var_pspec(variable), spec) << layer;
    EXPECT_EQ(nnx::as_abstract(nnx::state(variable)).at(""), NamedSharding(mesh, spec)) << layer;
  };
  const AxisNames xy{"x", "y"}, y{"y"};
  const nnx::ParamInit kernel = on_mesh(xy), vector = on_mesh(y);
  const nnx::Linear a(4, 4, {.kernel_init = kernel, .bias_init = vector}, rngs);
  const nnx::Linear b(4, 4, {.kernel_metadata = metadata(xy), .bias_metadata = metadata(y)}, rngs);
  for (const nnx::Linear& linear : {a, b}) {
    check("Linear", linear.kernel, P("x", "y"));
    check("Linear", *linear.bias, P("y"));
  }
  const nnx::LinearGeneral general({4}, {4}, {.kernel_init = kernel}, rngs);
  check("LinearGeneral", general.kernel, P("x", "y"));
  const nnx::Einsum einsum("ab,bc->ac", {4, 4}, std::nullopt, {.kernel_metadata = metadata(xy)},
                           rngs);
  check("Einsum", einsum.kernel, P("x", "y"));
  const nnx::Embed embed(4, 4, {.embedding_metadata = metadata(xy)}, rngs);
  check("Embed", embed.embedding, P("x", "y"));
  const nnx::Conv conv(4, 4, {3}, {.kernel_init = on_mesh({kNone, "x", "y"})}, rngs);
  check("Conv", conv.kernel, P(kNone, "x", "y"));
  const nnx::ConvTranspose back(4, 4, {3}, {.kernel_metadata = metadata({kNone, "x", "y"})}, rngs);
  check("ConvTranspose", back.kernel, P(kNone, "x", "y"));
  check("BatchNorm", *nnx::BatchNorm(4, {.scale_init = vector}, rngs).scale, P("y"));
  check("LayerNorm", *nnx::LayerNorm(4, {.bias_metadata = metadata(y)}, rngs).bias, P("y"));
  check("RMSNorm", *nnx::RMSNorm(4, {.scale_metadata = metadata(y)}, rngs).scale, P("y"));
  const nnx::GroupNorm group(4, {.num_groups = 2, .scale_init = vector}, rngs);
  check("GroupNorm", *group.scale, P("y"));
  const nnx::SelfAttention attention(4, 2, {.kernel_init = on_mesh({"x", "y"})}, rngs);
  check("SelfAttention", attention.query.kernel, P("x", "y"));
  const nnx::GRUCell gru(4, 4, {.kernel_init = kernel, .recurrent_kernel_metadata = metadata(xy)},
                         rngs);
  check("GRUCell", gru.dense_i.kernel, P("x", "y"));
  check("GRUCell", gru.dense_h.kernel, P("x", "y"));
}

}  // namespace
}  // namespace linnet::nnx_partitioning_test
