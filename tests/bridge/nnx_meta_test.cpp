// Boxes and their axes (inventory section 8).
#include "bridge/bridge_modules.h"
#include "linnet/linen/partitioning.h"

namespace linnet::bridge_tests::nnx_meta_test {
namespace {

using bridge::NNXMeta;

Metadata sharding(AxisNames names) { return {{"out_sharding", std::move(names)}}; }
Metadata partition(std::optional<std::string> name) {
  return {{"partition_name", name ? MetadataValue(*name) : MetadataValue(std::monostate())}};
}
NNXMeta box(const Tensor& value, Metadata metadata) {
  return NNXMeta(nnx::Param::static_type(), value, std::move(metadata));
}
AxisNames names_of(const NNXMeta& meta) { return *meta.metadata().get<AxisNames>("out_sharding"); }

TEST(BridgeMeta, B_125_ValueIsTheOnlyChild) {
  const linen::Variables leaf = box(ones({2, 3}), sharding({"in", "out"}));
  EXPECT_EQ(tree::leaves(leaf).size(), 1u);
  const linen::Variables other = box(ones({2, 3}), sharding({"in", "x"}));
  const linen::Variables stat =
      NNXMeta(nnx::BatchStat::static_type(), ones({2, 3}), sharding({"in", "out"}));
  EXPECT_NE(tree::structure(leaf), tree::structure(other));
  EXPECT_NE(tree::structure(leaf), tree::structure(stat));
  EXPECT_EQ(tree::structure(leaf),
            tree::structure(linen::Variables(box(zeros({2, 3}), sharding({"in", "out"})))));
}

TEST(BridgeMeta, B_126_B_127_UnboxAndReplace) {
  const NNXMeta meta = box(ones({2}), sharding({"in"}));
  expect_equal(meta.unbox().tensors[0], ones({2}));
  expect_equal(meta.replace_boxed(zeros({2})).value(), zeros({2}));
  EXPECT_EQ(meta.replace_boxed(zeros({2})).metadata(), meta.metadata());
  const NNXMeta replaced =
      meta.replace({.var_type = &nnx::BatchStat::static_type(), .metadata = Metadata{{"a", true}}});
  EXPECT_EQ(&replaced.var_type(), &nnx::BatchStat::static_type());
  EXPECT_EQ(replaced.metadata(), (Metadata{{"a", true}}));
  expect_equal(replaced.value(), ones({2}));
  expect_equal(meta.value(), ones({2}));
  EXPECT_EQ(meta.metadata(), sharding({"in"}));
  linen::Variables vars;
  vars.at_path({"params", "w"}) = meta;
  EXPECT_FALSE(linen::unbox(vars)["params"]["w"].box());
}

TEST(BridgeMeta, B_128_ToVariable) {
  const nnx::Variable v = box(ones({2}), sharding({"in"})).to_nnx_variable();
  EXPECT_EQ(&v.type(), &nnx::Param::static_type());
  EXPECT_EQ(v.metadata(), sharding({"in"}));
  EXPECT_THROW(NNXMeta(linen::Variables(ones({1}))), ModuleError);
}

TEST(BridgeMeta, B_129_B_130_PartitionSpec) {
  EXPECT_EQ(box(ones({2, 3}), sharding({"in", "out"})).get_partition_spec(), P("in", "out"));
  EXPECT_EQ(box(ones({2, 3}), {}).get_partition_spec(), P());
  const Metadata logical{{"sharding_names", AxisNames{"alias"}},
                         {"sharding_rules", AxisRules{{{"alias", "in"}}}}};
  EXPECT_EQ(box(ones({2}), logical).get_partition_spec(), P("in"));
  linen::Variables vars;
  vars.at_path({"params", "w"}) = box(ones({2, 3}), sharding({"in", "out"}));
  EXPECT_EQ(linen::get_partition_spec(vars).at("params/w"), P("in", "out"));
}

TEST(BridgeMeta, B_131_B_132_B_140_B_144_EveryPerAxisTuple) {
  const Tensor value = ones({2, 3});
  const NNXMeta meta = box(value, {{"out_sharding", AxisNames{"din", "dout"}},
                                   {"nickname", AxisNames{"in", "out"}},
                                   {"other", AxisNames{"a", "b"}},
                                   {"tag", std::string("t")}});
  const Metadata parameters{{"partition_name", std::string("layers")},
                            {"nickname", std::string("nick")},
                            {"tag", std::string("no tuple")}};
  const NNXMeta added = meta.add_axis(0, parameters);
  EXPECT_EQ(names_of(added), (AxisNames{"layers", "din", "dout"}));
  EXPECT_EQ(*added.metadata().get<AxisNames>("nickname"), (AxisNames{"nick", "in", "out"}));
  EXPECT_EQ(*added.metadata().get<AxisNames>("other"), (AxisNames{"a", "b"}));
  EXPECT_EQ(*added.metadata().get<std::string>("tag"), "t");
  EXPECT_EQ(added.value().impl(), value.impl());
  EXPECT_EQ(added.remove_axis(0, parameters), meta);
}

TEST(BridgeMeta, B_133_B_136_B_137_B_138_S_213_AddAndRemoveAreInverse) {
  const std::vector<AxisNames> tuples = {{},
                                         {"in"},
                                         {std::nullopt},
                                         {"in", "out"},
                                         {std::nullopt, "out"},
                                         {"in", std::nullopt},
                                         {std::nullopt, std::nullopt}};
  const std::vector<std::optional<std::string>> added_names = {"layers", std::nullopt};
  const Tensor value = ones({2, 3});
  for (const AxisNames& tuple : tuples) {
    for (const auto& name : added_names) {
      for (int64_t position = -3; position <= 2; ++position) {
        const NNXMeta meta = box(value, sharding(tuple));
        const NNXMeta there = meta.add_axis(position, partition(name));
        EXPECT_EQ(there.remove_axis(position, partition(name)), meta)
            << to_string(meta.metadata()) << " at " << position << " " << name.value_or("none")
            << " gave " << to_string(there.metadata());
        EXPECT_EQ(hash_of(there.remove_axis(position, partition(name)).metadata()),
                  hash_of(meta.metadata()));
      }
    }
  }
}

TEST(BridgeMeta, B_133_RemoveAndAddAreInverse) {
  const std::vector<AxisNames> tuples = {{"layers", "in"},
                                         {"in", "layers"},
                                         {"layers"},
                                         {std::nullopt, "layers", "x"},
                                         {"a", "layers", std::nullopt}};
  const Tensor value = ones({2, 3, 4});
  int succeeded = 0;
  for (const AxisNames& tuple : tuples) {
    for (int64_t position = -3; position <= 2; ++position) {
      const NNXMeta meta = box(value, sharding(tuple));
      std::optional<NNXMeta> without;
      try {
        without = meta.remove_axis(position, partition("layers"));
      } catch (const ValueError&) {
        continue;
      }
      ++succeeded;
      EXPECT_EQ(without->add_axis(position, partition("layers")), meta)
          << to_string(meta.metadata()) << " at " << position;
    }
  }
  EXPECT_EQ(succeeded, 10);
}

TEST(BridgeMeta, B_133_LawsHoldForDictionariesOfBoxes) {
  for (int64_t position = -2; position <= 1; ++position) {
    const linen::Variables leaf = box(ones({2, 3}), sharding({"layers", "layers"}));
    const linen::Variables back = linen::add_axis(
        linen::remove_axis(leaf, position, partition("layers")), position, partition("layers"));
    EXPECT_EQ(back.box()->metadata, leaf.box()->metadata) << position;
  }
}

TEST(BridgeMeta, B_138_PositionsOutOfRangeAreRefused) {
  const NNXMeta meta = box(ones({2, 3}), sharding({"in", "out"}));
  for (int64_t position : {3, 100, -4, -9}) {
    const std::string text =
        thrown<ValueError>([&] { meta.add_axis(position, partition("layers")); });
    EXPECT_NE(text.find("expected a position from -3 to 2, got " + std::to_string(position)),
              std::string::npos)
        << text;
  }
  for (int64_t position : {2, 100, -3, -9}) {
    const std::string text =
        thrown<ValueError>([&] { meta.remove_axis(position, partition(std::nullopt)); });
    EXPECT_NE(text.find("expected a position from -2 to 1"), std::string::npos) << text;
    EXPECT_THROW(linen::remove_axis(linen::Variables(meta), position, partition(std::nullopt)),
                 ValueError);
  }
}

TEST(BridgeMeta, B_140_ANewArrayIsCountedAfresh) {
  const NNXMeta without =
      box(ones({2, 3}), sharding({"layers", "in"})).remove_axis(-2, partition("layers"));
  const NNXMeta inside = without.replace_boxed(state::Value(ones({3})));
  EXPECT_EQ(inside.add_axis(-1, partition("layers")).metadata(), sharding({"in", "layers"}));
}

TEST(BridgeMeta, B_134_WrongName) {
  const std::string text = thrown<ValueError>([] {
    box(ones({2, 3}), sharding({"in", "out"})).remove_axis(0, partition("layers"));
  });
  EXPECT_NE(text.find("'layers'"), std::string::npos);
  EXPECT_NE(text.find("'in'"), std::string::npos);
}

TEST(BridgeMeta, B_135_PartitionNameIsNeededOnlyWithSharding) {
  const std::string text = thrown<ModuleError>([] {
    box(ones({2, 3}), sharding({"in", "out"})).add_axis(0, {});
  });
  EXPECT_NE(text.find("PartitioningUnspecifiedError"), std::string::npos);
  EXPECT_THROW(box(ones({2, 3}), sharding({"in", "out"})).remove_axis(0, {}), ModuleError);
  const NNXMeta unsharded = box(ones({2}), {{"tag", std::string("t")}});
  EXPECT_EQ(unsharded.add_axis(0, {}), unsharded);
  EXPECT_EQ(unsharded.remove_axis(0, {}), unsharded);
}

TEST(BridgeMeta, B_139_HooksRunOncePerCall) {
  std::vector<std::pair<int64_t, std::string>> calls;
  const AxisHook added{[&](Metadata& m, int64_t at, const std::optional<std::string>& name) {
    calls.emplace_back(at, name.value_or("none"));
    m.set("seen", (*m.get<AxisNames>("out_sharding")).names.size() == 2);
  }};
  const AxisHook removed{
      [&](Metadata& m, int64_t, const std::optional<std::string>&) { m.erase("seen"); }};
  const NNXMeta meta = box(ones({2}), {{"out_sharding", AxisNames{"in"}},
                                       {"on_add_axis", std::vector<AxisHook>{added}},
                                       {"on_remove_axis", std::vector<AxisHook>{removed}}});
  const NNXMeta there = meta.add_axis(-1, partition("layers"));
  EXPECT_EQ(calls, (std::vector<std::pair<int64_t, std::string>>{{1, "layers"}}));
  EXPECT_EQ(*there.metadata().get<bool>("seen"), true);
  EXPECT_EQ(there.remove_axis(-1, partition("layers")), meta);
}

TEST(BridgeMeta, B_141_DictionariesOfBoxes) {
  linen::Variables vars;
  vars.at_path({"params", "w"}) = linen::partitioned(ones({2, 3}), {"in", "out"});
  vars.at_path({"params", "b"}) = linen::Variables(ones({3}));
  const linen::Variables mapped = linen::add_axis(vars, 0, partition("batch"));
  EXPECT_EQ(linen::get_partition_spec(mapped).at("params/w"), P("batch", "in", "out"));
  EXPECT_FALSE(mapped["params"]["b"].box());
  EXPECT_EQ(linen::get_partition_spec(linen::remove_axis(mapped, 0, partition("batch"))),
            linen::get_partition_spec(vars));
}

TEST(BridgeMeta, B_145_BoxesPassThroughTreeMaps) {
  linen::Variables vars;
  vars.at_path({"params", "w"}) = box(ones({2, 3}), sharding({"in", "out"}));
  const linen::Variables doubled = tree::map(vars, [](const Tensor& t) { return t * 2; });
  EXPECT_EQ(doubled["params"]["w"].box(), vars["params"]["w"].box());
  EXPECT_EQ(values(doubled["params"]["w"])[0], 2.f);
}

struct Annotated {
  nnx::Param w, b;
  explicit Annotated(nnx::Rngs& rngs)
      : w(bridge::with_partitioning(init::lecun_normal(), {"in", "out"})(rngs.params(), {2, 6},
                                                                         DType::kF32)),
        b(zeros({6})) {}
  LINNET_FIELDS(w, b)
  Tensor operator()(const Tensor& x) { return matmul(x, w) + b.value(); }
};

TEST(BridgeMeta, B_146_B_147_WithPartitioning) {
  const linen::Variables vars = linen::init(bridge::to_linen<Annotated>(), Key(0), ones({1, 2}));
  const linen::Variables& w = vars["params"]["w"];
  ASSERT_TRUE(w.box());
  EXPECT_EQ(w.box()->kind, "Partitioned");
  EXPECT_EQ(linen::get_partition_spec(vars).at("params/w"), P("in", "out"));
  EXPECT_EQ(w.shape(), Shape({2, 6}));
  EXPECT_FALSE(vars["params"]["b"].box());
}

}  // namespace
}  // namespace linnet::bridge_tests::nnx_meta_test
