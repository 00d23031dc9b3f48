// Leaves and trees converted between the two module APIs (inventory sections 3 to 5).
#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"
#include "linnet/nnx/partitioning.h"

namespace linnet::bridge_tests::convert_test {
namespace {

using bridge::AttributeTree;
using linen::Variables;

const std::string* text_of(const nnx::Variable& v, const char* name) {
  return v.metadata().get<std::string>(name);
}

/// Equal kind, metadata and values.
void expect_same_leaf(const Variables& a, const Variables& b) {
  EXPECT_EQ(a.box(), b.box());
  ASSERT_EQ(a.leaf().tuple, b.leaf().tuple);
  ASSERT_EQ(a.leaf().tensors.size(), b.leaf().tensors.size());
  for (size_t i = 0; i < a.leaf().tensors.size(); ++i)
    expect_equal(a.leaf().tensors[i], b.leaf().tensors[i]);
}

void expect_same_tree(const Variables& a, const Variables& b) {
  const auto left = linen::flat_leaves(a), right = linen::flat_leaves(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    expect_same_leaf(*left[i].second, *right[i].second);
  }
}

Metadata sharded() {
  return {{"out_sharding", AxisNames{"in", "out"}}, {"nickname", std::string("nick")}};
}

TEST(Attributes, a_tree_becomes_one_of_its_own_children) {
  AttributeTree tree{{"encoder", {{"w", nnx::Param(ones({2}))}, {"deep", {{"b", Tensor(3)}}}}},
                     {"w", nnx::Param(zeros({2}))}};
  tree = std::move(tree["encoder"]);
  EXPECT_FALSE(tree.contains("encoder"));
  expect_equal(tree["w"].value(), ones({2}));
  expect_equal(tree["deep"]["b"].value(), Tensor(3));
}

TEST(BridgeLeaf, B_013_Vanilla) {
  const Tensor w = ones({2});
  EXPECT_TRUE(bridge::is_vanilla_variable(nnx::Param(w)));
  EXPECT_TRUE(bridge::is_vanilla_variable(
      nnx::Param(w, {{"hijax", false}, {"ref", true}, {"eager_sharding", true}})));
  EXPECT_TRUE(
      bridge::is_vanilla_variable(nnx::Param(w, {{"on_get_value", std::vector<ValueHook>{}}})));
  EXPECT_FALSE(bridge::is_vanilla_variable(nnx::Param(w, {{"tag", std::string("frozen")}})));
  EXPECT_FALSE(bridge::is_vanilla_variable(nnx::Param(w, sharded())));
  const ValueHook twice{[](const Tensor& t) { return t * 2; }};
  EXPECT_FALSE(bridge::is_vanilla_variable(
      nnx::Param(w, {{"on_get_value", std::vector<ValueHook>{twice}}})));
}

TEST(BridgeLeaf, B_014_VanillaIsBare) {
  const Variables leaf = bridge::to_linen_var(nnx::Param(normal({3})));
  EXPECT_FALSE(leaf.box());
  expect_equal(leaf.value(), normal({3}));
}

TEST(BridgeLeaf, B_015_B_018_MetadataMakeAnNnxMeta) {
  const nnx::Param v(normal({2, 3}), sharded());
  const Variables leaf = bridge::to_linen_var(v);
  ASSERT_TRUE(leaf.box());
  EXPECT_EQ(leaf.box()->kind, "NNXMeta");
  EXPECT_EQ(leaf.box()->variable_type, &nnx::Param::static_type());
  EXPECT_EQ(leaf.box()->metadata, sharded());
  EXPECT_EQ(v.metadata(), sharded());
}

TEST(BridgeLeaf, B_016_B_026_S_109_LinenMetaType) {
  Metadata metadata = sharded();
  metadata.set("linen_meta_type", "Partitioned");
  metadata.set("mesh", MeshAxes{{{"in", 2}, {"out", 3}}});
  const Variables leaf = bridge::to_linen_var(nnx::Param(normal({2, 3}), metadata));
  EXPECT_EQ(leaf.box()->kind, "Partitioned");
  EXPECT_EQ(leaf.box()->metadata, (Metadata{{"out_sharding", AxisNames{"in", "out"}},
                                            {"mesh", MeshAxes{{{"in", 2}, {"out", 3}}}}}));
  EXPECT_EQ(leaf.box()->variable_type, nullptr);
}

TEST(BridgeLeaf, B_017_ValueAfterGetHooks) {
  const ValueHook twice{[](const Tensor& t) { return t * 2; }};
  const nnx::Param v(ones({2}), {{"on_get_value", std::vector<ValueHook>{twice}}});
  EXPECT_EQ(values(bridge::to_linen_var(v).value()), (std::vector<float>{2, 2}));
}

TEST(BridgeLeaf, B_019_B_033_TuplesAreOneLeaf) {
  const state::Value tuple = state::Value::tuple_of({ones({2}), zeros({3})});
  const nnx::Intermediate v(tuple);
  const Variables leaf = bridge::to_linen_var(v);
  EXPECT_TRUE(leaf.leaf().tuple);
  const nnx::Variable back = bridge::to_nnx_var("intermediates", leaf);
  EXPECT_EQ(back.raw_value().tensors.size(), 2u);
  Variables vars;
  vars.at_path({"intermediates", "dot_sum"}) = leaf;
  const AttributeTree attributes = bridge::linen_vars_to_nnx_attrs(vars);
  EXPECT_TRUE(attributes["dot_sum"].is_variable());
}

TEST(BridgeLeaf, B_020_B_021_TypeOfTheCollection) {
  const nnx::Variable v = bridge::to_nnx_var("params", Variables(ones({2})));
  EXPECT_EQ(&v.type(), &nnx::Param::static_type());
  EXPECT_TRUE(v.metadata().empty());
  EXPECT_EQ(bridge::to_nnx_var("b020_fresh", Variables(ones({2}))).type().name(), "b020_fresh");
}

TEST(BridgeLeaf, B_022_B_023_NnxMetaKeepsItsType) {
  const Variables leaf(state::Value(ones({2, 3})),
                       linen::Box{"NNXMeta", sharded(), &nnx::Param::static_type()});
  const nnx::Variable v = bridge::to_nnx_var("params", leaf);
  EXPECT_EQ(v.metadata(), sharded());
  const std::string text = thrown<ModuleError>([&] { bridge::to_nnx_var("batch_stats", leaf); });
  EXPECT_NE(text.find("Param"), std::string::npos);
  EXPECT_NE(text.find("BatchStat"), std::string::npos);
}

TEST(BridgeLeaf, B_024_B_025_B_027_S_109_PartitionedLeaves) {
  const Variables plain = linen::partitioned(ones({2, 3}), {"in", "out"}, MeshAxes{{{"in", 2}}});
  const linen::Box before = *plain.box();
  const nnx::Variable v = bridge::to_nnx_var("params", plain);
  EXPECT_EQ(*v.metadata().get<AxisNames>("out_sharding"), (AxisNames{"in", "out"}));
  EXPECT_EQ(*v.metadata().get<MeshAxes>("mesh"), (MeshAxes{{{"in", 2}}}));
  EXPECT_EQ(*text_of(v, "linen_meta_type"), "Partitioned");
  EXPECT_EQ(*plain.box(), before);

  const AxisRules rules{{{"out-alias", "out"}}};
  const Variables logical = linen::logically_partitioned(ones({3}), {"out-alias"}, rules);
  const nnx::Variable w = bridge::to_nnx_var("params", logical);
  EXPECT_EQ(*w.metadata().get<AxisNames>("out_sharding"), AxisNames{"out-alias"});
  EXPECT_EQ(*w.metadata().get<AxisRules>("sharding_rules"), rules);
  EXPECT_EQ(*text_of(w, "linen_meta_type"), "LogicallyPartitioned");
  EXPECT_EQ(partition_spec(w.metadata()), P("out"));
}

TEST(BridgeLeaf, B_030_ConversionNeedsNoMesh) {
  const Metadata annotated{{"out_sharding", AxisNames{"in", "out"}}};
  const Variables boxed = linen::partitioned(ones({2, 3}), {"in", "out"});
  struct NeedsMesh {
    NeedsMesh() { nnx::set_eager_sharding_needs_mesh(true); }
    ~NeedsMesh() { nnx::set_eager_sharding_needs_mesh(false); }
  } needs_mesh;
  EXPECT_THROW(nnx::Param(ones({2, 3}), annotated), MeshError);
  // Without the check a variable is made, and what is converted has been made before.
  {
    const auto off = nnx::use_eager_sharding(false);
    EXPECT_EQ(nnx::Param(ones({2, 3}), annotated).metadata(), annotated);
  }
  const nnx::Variable kernel = bridge::to_nnx_var("params", boxed);
  EXPECT_EQ(*kernel.metadata().get<AxisNames>("out_sharding"), (AxisNames{"in", "out"}));
  expect_same_leaf(bridge::to_linen_var(kernel), boxed);
}

TEST(BridgeLeaf, B_028_OtherBoxClasses) {
  bridge::BoxClass quantised;
  quantised.fields = {"bits"};
  quantised.to_nnx_metadata = [](const Metadata& fields) {
    return Metadata{{"precision", *fields.get<int64_t>("bits")}};
  };
  quantised.from_nnx_metadata = [](const Metadata& metadata) {
    return Metadata{{"bits", *metadata.get<int64_t>("precision")}, {"dropped", true}};
  };
  bridge::register_box_class("Quantised", quantised);
  const Variables leaf(state::Value(ones({2})),
                       linen::Box{"Quantised", {{"bits", int64_t{4}}}, nullptr});
  const nnx::Variable v = bridge::to_nnx_var("params", leaf);
  EXPECT_EQ(*v.metadata().get<int64_t>("precision"), 4);
  expect_same_leaf(bridge::to_linen_var(v), leaf);

  const Variables unknown(state::Value(ones({2})),
                          linen::Box{"Undescribed", {{"a", 1.5}, {"b", true}}, nullptr});
  expect_same_leaf(bridge::to_linen_var(bridge::to_nnx_var("params", unknown)), unknown);
}

TEST(BridgeLeaf, B_029_S_133_S_212_RoundTrips) {
  const std::vector<Variables> leaves = {
      Variables(normal({2, 3})),
      Variables(state::Value::tuple_of({ones({1}), ones({2})})),
      linen::partitioned(normal({2, 3}), {"in", std::nullopt}),
      linen::partitioned(normal({2, 3}), {"in", "out"}, MeshAxes{{{"in", 2}, {"out", 4}}}),
      linen::logically_partitioned(normal({2}), {"alias"}),
      linen::logically_partitioned(normal({2}), {"alias"},
                                   AxisRules{{{"alias", "in"}, {"other", std::nullopt}}}),
      Variables(state::Value(normal({2, 3})),
                linen::Box{"NNXMeta", sharded(), &nnx::Param::static_type()}),
  };
  for (const Variables& leaf : leaves) {
    expect_same_leaf(bridge::to_linen_var(bridge::to_nnx_var("params", leaf)), leaf);
  }

  int created = 0;
  const ValueHook counting{[&](const Tensor& t) {
    ++created;
    return t;
  }};
  const std::vector<Metadata> metadata = {{},
                                          sharded(),
                                          {{"tag", std::string("x")}},
                                          {{"on_create_value", std::vector<ValueHook>{counting}}}};
  for (const Metadata& m : metadata) {
    const nnx::BatchStat v(normal({4}), m);
    const int before = created;
    const nnx::Variable back = bridge::to_nnx_var("batch_stats", bridge::to_linen_var(v));
    EXPECT_EQ(&back.type(), &v.type());
    EXPECT_EQ(back.metadata(), v.metadata());
    expect_equal(back.value(), v.value());
    EXPECT_EQ(created, before);
  }
}

Variables sample_variables() {
  Variables out;
  out.at_path({"params", "dense", "kernel"}) = linen::partitioned(normal({2, 3}), {"in", "out"});
  out.at_path({"params", "dense", "bias"}) = Variables(normal({3}));
  out.at_path({"params", "w"}) = Variables(normal({1}));
  out.at_path({"batch_stats", "norm", "mean"}) = Variables(zeros({3}));
  out.at_path({"batch_stats", "dense", "mean"}) = Variables(ones({3}));
  out.at_path({"intermediates", "dense", "sown"}) =
      Variables(state::Value::tuple_of({ones({2}), ones({2})}));
  out.at_path({"b036_counter", "count"}) = Variables(zeros({}, DType::kI32));
  return out;
}

TEST(BridgeTree, B_031_CollectionsBecomeTypes) {
  const AttributeTree attributes = bridge::linen_vars_to_nnx_attrs(sample_variables());
  EXPECT_EQ(attributes.keys(), (std::vector<std::string>{"count", "dense", "norm", "w"}));
  EXPECT_EQ(&attributes["dense"]["kernel"].variable().type(), &nnx::Param::static_type());
  EXPECT_EQ(&attributes["dense"]["mean"].variable().type(), &nnx::BatchStat::static_type());
  EXPECT_EQ(attributes["count"].variable().type().name(), "b036_counter");
  expect_equal(attributes["w"], normal({1}));
}

TEST(BridgeTree, B_032_DuplicatePaths) {
  Variables vars;
  vars.at_path({"params", "a", "x"}) = Variables(ones({1}));
  vars.at_path({"params", "b", "x"}) = Variables(ones({1}));
  EXPECT_NO_THROW(bridge::linen_vars_to_nnx_attrs(vars));
  vars.at_path({"batch_stats", "a", "x"}) = Variables(ones({1}));
  const std::string text = thrown<ValueError>([&] { bridge::linen_vars_to_nnx_attrs(vars); });
  for (const char* part : {"duplicate variable path", "a/x", "Param", "BatchStat"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(BridgeTree, B_034_B_036_ThereAndBack) {
  const Variables vars = sample_variables();
  expect_same_tree(bridge::nnx_attrs_to_linen_vars(bridge::linen_vars_to_nnx_attrs(vars)), vars);
}

TEST(BridgeTree, B_035_WhatIsNoVariable) {
  AttributeTree attributes{{"w", nnx::Param(ones({1}))}, {"number", Tensor(3)}};
  const std::string text = thrown<ValueError>([&] { bridge::nnx_attrs_to_linen_vars(attributes); });
  EXPECT_NE(text.find("cannot infer collection name"), std::string::npos);
  struct NeverRegistered : nnx::VariableOf<NeverRegistered> {
    using VariableOf::VariableOf;
  };
  const AttributeTree unknown{{"w", NeverRegistered(ones({1}))}};
  EXPECT_THROW(bridge::nnx_attrs_to_linen_vars(unknown), ValueError);
}

TEST(BridgeTree, B_037_EmptyDictionariesVanish) {
  Variables vars = sample_variables();
  vars.at_path({"empty", "scope"}) = Variables();
  expect_same_tree(bridge::nnx_attrs_to_linen_vars(bridge::linen_vars_to_nnx_attrs(vars)),
                   sample_variables());
  EXPECT_FALSE(bridge::linen_vars_to_nnx_attrs(vars).contains("scope"));
}

TEST(BridgeTree, B_038_MergeByLeafPath) {
  const AttributeTree a{{"x", {{"p", nnx::Param(ones({1}))}, {"q", nnx::Param(ones({2}))}}}};
  const AttributeTree b{{"x", {{"q", nnx::Param(zeros({2}))}}}, {"y", nnx::Param(zeros({1}))}};
  const AttributeTree merged = bridge::merge(a, b);
  EXPECT_EQ(values(merged["x"]["p"]), (std::vector<float>{1}));
  EXPECT_EQ(values(merged["x"]["q"]), (std::vector<float>{0, 0}));
  EXPECT_EQ(values(merged["y"]), (std::vector<float>{0}));
  EXPECT_EQ(values(a["x"]["q"]), (std::vector<float>{1, 1}));
}

TEST(BridgeTree, AssignmentKeepsIdentityAndCopiesAreIndependent) {
  AttributeTree tree{{"x", {{"p", nnx::Param(ones({1}))}}}, {"gone", nnx::Param(ones({1}))}};
  const auto cell = tree["x"]["p"].variable().cell();
  AttributeTree other{{"x", {{"p", nnx::Param(zeros({1}))}}}, {"added", nnx::Param(ones({1}))}};
  const AttributeTree copy = tree;
  tree = other;
  EXPECT_EQ(tree["x"]["p"].variable().cell(), cell);
  EXPECT_EQ(values(tree["x"]["p"]), (std::vector<float>{0}));
  EXPECT_EQ(tree.keys(), (std::vector<std::string>{"added", "x"}));
  EXPECT_EQ(values(copy["x"]["p"]), (std::vector<float>{1}));
  other["x"]["p"] = ones({1});
  EXPECT_EQ(values(tree["x"]["p"]), (std::vector<float>{0}));
}

}  // namespace
}  // namespace linnet::bridge_tests::convert_test
