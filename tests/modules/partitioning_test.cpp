// Logical names of dimensions, the rules that translate them, and constraints by them. Specs are
// those that flax.linen.logical_to_mesh_axes and flax.core.spmd.apply_rules give.
#include "linnet/partitioning.h"

#include <thread>

#include "tests/modules/partitioning_support.h"

namespace linnet::partitioning_test {
namespace {

using test::expect_facts;
using test::mesh24;
using test::mesh_of;

TEST(LogicalRules, S_113_S_123_rules_are_an_ordered_list_of_pairs) {
  const AxisRules rules{{{"batch", "data"},
                         {"mlp", {"model", "replica"}},
                         {"embed", kNone},
                         {"any", kUnconstrained}}};
  ASSERT_EQ(rules.rules.size(), 4u);
  EXPECT_EQ(rules.rules[0].second, SpecEntry("data"));
  EXPECT_EQ(rules.rules[1].second, axes("model", "replica"));
  EXPECT_TRUE(rules.rules[2].second.none());
  EXPECT_TRUE(rules.rules[3].second.unconstrained());
  const AxisRules turned{{{"mlp", {"model", "replica"}},
                          {"batch", "data"},
                          {"embed", kNone},
                          {"any", kUnconstrained}}};
  EXPECT_NE(rules, turned);
  static_assert(!std::is_constructible_v<AxisRules, std::vector<std::string>>,
                "what is no list of pairs is no list of rules");
}

TEST(LogicalRules, L_110_S_114_rules_of_a_scope) {
  EXPECT_TRUE(get_logical_axis_rules().rules.empty());
  const AxisRules outer{{{"foo", "x"}}}, inner{{{"bar", "y"}}};
  {
    const auto scope = logical_axis_rules(outer);
    EXPECT_EQ(get_logical_axis_rules(), outer);
    try {
      const auto nested = logical_axis_rules(inner);
      EXPECT_EQ(get_logical_axis_rules(), inner) << "replaced, not joined";
      EXPECT_EQ(logical_to_mesh_axes(P("foo", "bar")), P(kNone, "y"));
      throw std::runtime_error("left early");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(get_logical_axis_rules(), outer);
    std::thread([] { EXPECT_TRUE(get_logical_axis_rules().rules.empty()); }).join();
  }
  EXPECT_TRUE(get_logical_axis_rules().rules.empty());
  set_logical_axis_rules(outer);
  EXPECT_EQ(get_logical_axis_rules(), outer);
  set_logical_axis_rules({});
}

TEST(LogicalRules, L_111_S_115_S_116_the_order_of_rules_decides) {
  const auto scope = logical_axis_rules({{{"foo", "model"}, {"bar", "model"}, {"baz", "data"}}});
  EXPECT_EQ(logical_to_mesh_axes(P("foo", "bar", "baz")), P("model", kNone, "data"));
  EXPECT_EQ(logical_to_mesh_axes(P("bar", "foo", "baz")), P(kNone, "model", "data"));
  EXPECT_EQ(logical_to_mesh_axes(P("baz", "bar", "foo")), P("data", kNone, "model"));
  EXPECT_EQ(logical_to_mesh_axes(P("baz", "bar", "foo", "unassigned")),
            P("data", kNone, "model", kNone));
  EXPECT_EQ(logical_to_mesh_axes(P("foo"), AxisRules{{{"foo", "data"}}}), P("data"))
      << "rules of the call, not of the thread";
}

TEST(LogicalRules, L_111_S_117_S_118_several_rules_for_a_name) {
  const AxisRules several{{{"batch", "X"}, {"features", "X"}, {"heads", "Y"}, {"batch", "Z"}}};
  EXPECT_EQ(logical_to_mesh_axes(P("batch", "length", "heads", "features"), several),
            P("X", kNone, "Y", kNone));
  EXPECT_EQ(logical_to_mesh_axes(P("features", "batch"),
                                 AxisRules{{{"features", "X"}, {"batch", "X"}, {"batch", "Z"}}}),
            P("X", "Z"))
      << "the first that is applicable";
  EXPECT_EQ(logical_to_mesh_axes(P("a", "b"), AxisRules{{{"a", kNone}, {"a", "model"}}}),
            P(kNone, kNone));
  EXPECT_EQ(logical_to_mesh_axes(
                P("baz", "bar", "foo"),
                AxisRules{{{"baz", "data"}, {"bar", kNone}, {"foo", "model"}, {"foo", "data"}}}),
            P("data", kNone, "model"));
}

TEST(LogicalRules, L_111_S_119_S_120_lists_are_used_whole_or_not_at_all) {
  EXPECT_EQ(logical_to_mesh_axes(P("a", "b"), AxisRules{{{"a", {"model", "data"}}, {"b", "data"}}}),
            P(axes("model", "data"), kNone));
  EXPECT_EQ(
      logical_to_mesh_axes(P("a", "b"), AxisRules{{{"a", {"model", "replica"}}, {"b", "data"}}}),
      P(axes("model", "replica"), "data"));
  EXPECT_EQ(logical_to_mesh_axes(
                P("a", "b"), AxisRules{{{"a", {"model", "replica"}}, {"b", {"data", "model"}}}}),
            P(axes("model", "replica"), kNone));
  EXPECT_EQ(logical_to_mesh_axes(P("a", "b")), P(kNone, kNone)) << "no rules";
}

TEST(LogicalRules, L_111_S_121_none_and_unconstrained) {
  EXPECT_EQ(
      logical_to_mesh_axes(
          P("foo", "bad", "bar", "baz"),
          AxisRules{
              {{"foo", kNone}, {"bad", kNone}, {"bar", kUnconstrained}, {"baz", kUnconstrained}}}),
      P(kNone, kNone, kUnconstrained, kUnconstrained));
  const AxisRules one{{{"foo", "model"}}};
  EXPECT_EQ(logical_to_mesh_axes(P(kNone, kUnconstrained, kNone, "foo", kUnconstrained), one),
            P(kNone, kUnconstrained, kNone, "model", kUnconstrained));
}

TEST(LogicalRules, L_111_S_122_S_248_one_name_for_two_dimensions) {
  expect_facts<DuplicateAxisError>([] { logical_to_mesh_axes(P("foo", "bar", "foo")); },
                                   {"'foo'", "dimensions 0 and 2", "P('foo', 'bar', 'foo')"});
}

TEST(LogicalRules, L_111_S_124_no_names) {
  EXPECT_EQ(logical_to_mesh_axes(std::optional<P>(), AxisRules{{{"a", "x"}}}), std::nullopt);
  EXPECT_EQ(logical_to_mesh_axes(std::optional<P>(P("a")), AxisRules{{{"a", "x"}}}), P("x"));
}

TEST(LogicalRules, S_125_S_126_two_translations) {
  struct Row {
    AxisRules rules;
    P names, functional, stateful;
  };
  const Row table[] = {
      {{{{"a", "x"}}}, P("a", "y"), P("x", kNone), P("x", "y")},
      {{{{"a", {"x", "y"}}}}, P("a", "b"), P(axes("x", "y"), kNone), P(axes("x", "y"), "b")},
      {{{{"a", kNone}}}, P("a", kNone, "b"), P(kNone, kNone, kNone), P(kNone, kNone, "b")},
      {{}, P("a", kUnconstrained), P(kNone, kUnconstrained), P("a", kUnconstrained)},
      {{{{"a", "x"}, {"b", "y"}}}, P("b", "a"), P("y", "x"), P("y", "x")},
  };
  for (const Row& row : table) {
    EXPECT_EQ(logical_to_mesh_axes(row.names, row.rules), row.functional) << to_string(row.names);
    EXPECT_EQ(apply_rules(row.names, row.rules), row.stateful) << to_string(row.names);
  }
  const Mesh mesh = mesh24();
  const auto scope = logical_axis_rules({{{"in", "data"}}});
  const AxisRules own{{{"out", "model"}}};
  EXPECT_EQ(apply_rules(P("in", "out", "model"), own), P("data", "model", "model"));
  EXPECT_EQ(apply_rules(P("in", "out"), own), P("data", "model")) << "both kinds of rules";
  const NamedSharding named(mesh_of({2, 4, 1, 1}, {"data", "model", "in", "out"}), P("in", "out"));
  EXPECT_EQ(apply_rules(named, own), named.with_spec(P("data", "model"))) << "keeps its mesh";
}

TEST(LogicalRules, S_127_S_250_N_152_composite_rules) {
  const AxisRules a{{{"x", "data"}, {"y", kNone}}}, b{{{"z", "model"}, {"x", "data"}}};
  EXPECT_EQ(composite_rules(a, b), (AxisRules{{{"x", "data"}, {"y", kNone}, {"z", "model"}}}));
  EXPECT_EQ(composite_rules(a, {}), a);
  EXPECT_EQ(composite_rules({}, b), b);
  expect_facts<SpecError>(
      [&] {
        composite_rules(a, {{{"x", "model"}}});
      },
      {"'x'", "'data'", "'model'"});
  const auto scope = logical_axis_rules(a);
  expect_facts<SpecError>(
      [&] {
        apply_rules(P("x"), {{{"x", "model"}}});
      },
      {"'x'", "'data'", "'model'"});
}

TEST(LogicalRules, S_128_names_in_lists_and_with_several_rules) {
  const AxisRules rules{{{"a", "x"}, {"b", {"y", "z"}}, {"c", kNone}}};
  EXPECT_EQ(apply_rules(P(axes("a", "b", "w"), "c"), rules), P(axes("x", "y", "z", "w"), kNone));
  EXPECT_EQ(logical_to_mesh_axes(P(axes("a", "q"), "b"), rules), P("x", axes("y", "z")));
  const AxisRules several{{{"a", "x"}, {"b", "x"}, {"b", "y"}}};
  EXPECT_EQ(apply_rules(P("a", "b"), several), P("x", "y"));
  EXPECT_EQ(apply_rules(P("b"), several), P("x"));
  EXPECT_EQ(apply_rules(P("x", "b"), several), P("x", "y")) << "a mesh axis is taken already";
  expect_facts<DuplicateAxisError>(
      [&] {
        NamedSharding(mesh_of({2}, "x"), apply_rules(P("a", "c"), {{{"a", "x"}, {"c", "x"}}}));
      },
      {"'x'"});
}

TEST(LogicalConstraint, L_113_S_134_S_136_identity_without_names_rules_or_mesh) {
  const Tensor x = ones({4, 8});
  const AxisRules rules{{{"batch", "data"}, {"embed", "model"}}};
  const P too_long("batch", "embed", "more");
  EXPECT_EQ(with_logical_constraint(x, std::nullopt, {.rules = rules, .mesh = mesh24()}).impl(),
            x.impl());
  EXPECT_EQ(with_logical_constraint(x, too_long, {.mesh = mesh24()}).impl(), x.impl())
      << "no rules";
  EXPECT_EQ(with_logical_constraint(x, too_long, {.rules = rules}).impl(), x.impl()) << "no mesh";
  EXPECT_EQ(with_logical_constraint(x, P("batch", "embed"), {.rules = rules, .mesh = mesh24()})
                .to_vector<float>(),
            x.to_vector<float>());
  // With all three the constraint is that of the translated names.
  expect_facts<SpecRankError>(
      [&] { with_logical_constraint(x, too_long, {.rules = rules, .mesh = mesh24()}); },
      {"P('data', 'model', None)", "rank 2"});
  const auto scope = logical_axis_rules(rules);
  const auto mesh = set_mesh(mesh24());
  expect_facts<IndivisibleError>(
      [&] {
        with_logical_constraint(ones({4, 6}), P("batch", "embed"));
      },
      {"P('data', 'model')", "dimension 1", "6", "4"});
  const Tensor gradient =
      grad([](const Tensor& v) { return sum(square(with_logical_constraint(v, P("batch")))); })(x);
  EXPECT_EQ(gradient.to_vector<float>(), (x * 2).to_vector<float>());
}

TEST(LogicalConstraint, L_113_S_135_S_249_names_without_a_rule) {
  const Tensor x = ones({3, 8});
  const AxisRules rules{{{"embed", "model"}}};
  const auto constrained = [&](const P& names, RulesFallback fallback) {
    return with_logical_constraint(x, names,
                                   {.rules = rules, .mesh = mesh24(), .fallback = fallback});
  };
  EXPECT_EQ(constrained(P("foo", "embed"), RulesFallback::kAxisIsUnsharded).shape(), x.shape())
      << "the first dimension is not divided";
  expect_facts<SpecError>([&] { constrained(P("foo", "embed"), RulesFallback::kRaiseError); },
                          {"'foo'", "P('foo', 'embed')", "'embed' -> 'model'"});
  const P impossible("embed", "foo");  // 4 does not divide 3
  EXPECT_EQ(constrained(impossible, RulesFallback::kNoConstraint).impl(), x.impl());
  expect_facts<IndivisibleError>([&] { constrained(impossible, RulesFallback::kAxisIsUnsharded); },
                                 {"dimension 0"});
}

TEST(LogicalConstraint, S_257_a_bare_spec_without_a_mesh) {
  const Tensor x = ones({4, 8});
  expect_facts<MeshError>([&] { with_sharding_constraint(x, P("data")); },
                          {"P('data',)", "set_mesh(make_mesh"});
  expect_facts<SpecError>([&] { with_sharding_constraint(x, kNone); }, {"no spec", "P()"});
  const auto scope = set_mesh(mesh24());
  EXPECT_EQ(with_sharding_constraint(x, P("data")).to_vector<float>(), x.to_vector<float>());
}

TEST(Annotations, meshes_and_specs_as_metadata) {
  const Mesh mesh = mesh24();
  EXPECT_EQ(mesh_of(MeshAxes(mesh)), mesh);
  EXPECT_EQ(mesh_of(MeshAxes{{{"in", 2}, {"out", 4}}}), AbstractMesh({2, 4}, {"in", "out"}));
  const Metadata metadata = sharding_metadata(NamedSharding(mesh, P(kNone, "model")));
  EXPECT_EQ(partition_spec(metadata), P(kNone, "model"));
  EXPECT_EQ(mesh_of(*metadata.get<MeshAxes>("mesh")), mesh);
  EXPECT_NE(MeshAxes(mesh), MeshAxes(mesh.shape()));
  EXPECT_NE(to_string(Metadata{{"mesh", MeshAxes(mesh)}}),
            to_string(Metadata{{"mesh", MeshAxes(mesh.shape())}}));
}

}  // namespace
}  // namespace linnet::partitioning_test
