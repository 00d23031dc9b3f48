// Partition specs: canonical form, comparison, text, and what is refused where they meet a mesh.
#include "linnet/partition_spec.h"

#include <unordered_map>

#include "tests/core/sharding_support.h"

namespace linnet::partition_spec_test {
namespace {

using test::expect_facts;
using test::mesh_of;
using Strings = std::vector<std::string>;

TEST(PartitionSpec, S_026_S_038_kinds_of_entries) {
  const P spec("x", kNone, axes("y", "z"), kUnconstrained);
  ASSERT_EQ(spec.size(), 4u);
  EXPECT_EQ(spec[0].axes(), Strings{"x"});
  EXPECT_TRUE(spec[1].none());
  EXPECT_EQ(spec[2].axes(), (Strings{"y", "z"}));
  EXPECT_TRUE(spec[3].unconstrained());
  EXPECT_FALSE(spec[3].none());
  EXPECT_NE(spec[1], spec[3]);
  EXPECT_TRUE(P{}.empty());
  const std::vector<std::optional<std::string>> computed{"x", std::nullopt};
  EXPECT_EQ(P(computed), P("x", kNone));
  EXPECT_EQ(P(P::Entries{"x", axes("y", "z")}), P("x", axes("y", "z")));
}

TEST(PartitionSpec, S_027_canonical_form) {
  EXPECT_EQ(P(SpecEntry(Strings{}), "x"), P(kNone, "x"));
  EXPECT_EQ(P("", kNone), P(kNone, kNone));
  EXPECT_EQ(P(axes("x")), P("x"));
  EXPECT_EQ(P(Strings{"x", "y"}), P(axes("x", "y")));
  EXPECT_EQ(P::parse("P(['x', 'y'], ())"), P(axes("x", "y"), kNone));
  EXPECT_EQ(P(axes("x")).hash(), P("x").hash());
  EXPECT_EQ(P("", "x").hash(), P(kNone, "x").hash());
}

TEST(PartitionSpec, S_028_equality_counts_entries) {
  EXPECT_NE(P("x"), P("x", kNone));
  EXPECT_NE(P(), P(kNone));
  EXPECT_NE(P(axes("x", "y")), P(axes("y", "x")));
  EXPECT_EQ(P(), P::parse("P()"));
}

TEST(PartitionSpec, S_030_S_246_longer_than_the_rank) {
  const auto mesh = mesh_of({2, 2}, {"x", "y"});
  expect_facts<SpecRankError>([&] { NamedSharding(mesh, P("x", "y")).shard_shape({8}); },
                              {"P('x', 'y')", "rank 2", "rank 1"});
  expect_facts<SpecRankError>([&] { NamedSharding(mesh, P("x", kNone)).shard_shape({8}); },
                              {"P('x', None)", "rank 2", "rank 1"});
  expect_facts<SpecRankError>([&] { NamedSharding(mesh, P("x")).shard_shape({}); },
                              {"rank 1", "rank 0", "scalar is P()"});
  expect_facts<SpecRankError>([] { check_rank(P("x"), 0, "params/scale"); }, {"params/scale"});
}

TEST(PartitionSpec, S_031_list_in_a_list) {
  expect_facts<SpecError>([] { P::parse("P((('x',), 'y'))"); }, {"list cannot hold a list"});
  expect_facts<SpecError>([] { P::parse("P((['x'], 'y'))"); }, {"list cannot hold a list"});
}

TEST(PartitionSpec, S_032_S_245_one_axis_twice_is_refused_on_a_mesh_only) {
  const auto mesh = mesh_of({2, 2}, {"x", "y"});
  const P twice("x", "x"), nested("x", axes("y", "x")), same_entry(axes("x", "x"));
  expect_facts<DuplicateAxisError>([&] { NamedSharding(mesh, twice); },
                                   {"P('x', 'x')", "'x'", "dimension 0", "dimension 1"});
  expect_facts<DuplicateAxisError>([&] { NamedSharding(mesh, nested); },
                                   {"P('x', ('y', 'x'))", "'x'", "dimension 0", "dimension 1"});
  expect_facts<DuplicateAxisError>([&] { NamedSharding(mesh, same_entry); }, {"('x', 'x')"});
}

TEST(PartitionSpec, S_033_text_reads_back) {
  EXPECT_EQ(to_string(P("x", kNone, axes("y", "z"))), "P('x', None, ('y', 'z'))");
  EXPECT_EQ(to_string(P()), "P()");
  EXPECT_EQ(to_string(P("x")), "P('x',)");
  EXPECT_EQ(to_string(P(kUnconstrained, "x")), "P(UNCONSTRAINED, 'x')");
  EXPECT_EQ(to_string(P("x").with_pending({.unreduced = {"y"}, .reduced = {"z"}})),
            "P('x', unreduced={'y'}, reduced={'z'})");
  EXPECT_EQ(P::parse("PartitionSpec(\"x\", None)"), P("x", kNone));
  for (const char* broken : {"", "P", "P(", "P('x'", "P('x)", "P(x)", "P('x') y", "P('x' 'y')",
                             "P(('x')", "P('x', unreduced_kind='mean')"}) {
    expect_facts<SpecError>([&] { P::parse(broken); }, {"expected", "character"});
  }
}

TEST(PartitionSpec, S_033_law_text_reads_back) {
  const std::string letters = "ab'\\\" ,()";
  for (unsigned seed = 0; seed < 400; ++seed) {
    test::RandomShardings random(seed);
    const auto name = [&] {
      std::string out;
      for (int64_t i = random.below(4) + 1; i > 0; --i)
        out += letters[static_cast<size_t>(random.below(static_cast<int64_t>(letters.size())))];
      return out;
    };
    P::Entries entries;
    for (int64_t i = random.below(5); i > 0; --i) {
      const int64_t kind = random.below(4);
      entries.push_back(kind == 0   ? SpecEntry()
                        : kind == 1 ? SpecEntry(kUnconstrained)
                        : kind == 2 ? SpecEntry(name())
                                    : axes(name(), name(), name()));
    }
    PendingAxes pending;
    if (random.below(2)) pending.unreduced = {"p" + name(), "q"};
    if (random.below(2)) pending.unreduced_kind = PendingKind::kMax;
    if (random.below(2)) pending.reduced = {"r" + name()};
    const P spec(entries, pending);
    EXPECT_EQ(P::parse(to_string(spec)), spec) << to_string(spec);
  }
}

TEST(PartitionSpec, S_034_sequence) {
  const P spec("x", "y", kNone, axes("z", "w"));
  EXPECT_EQ(spec.index("y"), 1u);
  EXPECT_EQ(spec.index(axes("z", "w")), 3u);
  EXPECT_EQ(P("x", "y", "x").count("x"), 2u);
  EXPECT_EQ(spec.count("q"), 0u);
  expect_facts<SpecError>([&] { spec.index("q"); }, {"'q'", "P('x', 'y'"});
  EXPECT_EQ(P("x") + P(kNone, "y"), P("x", kNone, "y"));
  Strings seen;
  for (const SpecEntry& entry : spec) seen.push_back(to_string(entry));
  EXPECT_EQ(seen, (Strings{"'x'", "'y'", "None", "('z', 'w')"}));
  EXPECT_EQ(spec.axes_of_dimensions(), (std::vector<Strings>{{"x"}, {"y"}, {}, {"z", "w"}}));
}

TEST(PartitionSpec, S_035_pending_axes) {
  const P spec = P("x").with_pending({.unreduced = {"z", "y", "z"}});
  EXPECT_EQ(spec.pending().unreduced, (Strings{"y", "z"}));
  EXPECT_EQ(spec.pending().unreduced_kind, PendingKind::kSum);
  EXPECT_NE(spec, P("x"));
  EXPECT_NE(spec,
            P("x").with_pending({.unreduced = {"y", "z"}, .unreduced_kind = PendingKind::kMax}));
  expect_facts<SpecError>([] { P("x").with_pending({.unreduced = {"x"}}); }, {"'x'", "unreduced"});
  expect_facts<SpecError>([] { P(axes("x", "y")).with_pending({.reduced = {"y"}}); },
                          {"'y'", "reduced"});
  expect_facts<SpecError>([] { P().with_pending({.unreduced = {"y"}, .reduced = {"y"}}); },
                          {"'y'", "unreduced", "reduced"});
  expect_facts<SpecError>([] { P().with_pending({.unreduced = {""}}); }, {"missing"});
  const P joined = spec + P("a").with_pending({.unreduced = {"b"}, .reduced = {"c"}});
  EXPECT_EQ(joined.pending().unreduced, (Strings{"b", "y", "z"}));
  EXPECT_EQ(joined.pending().reduced, Strings{"c"});
  expect_facts<SpecError>([&] { spec + P("y"); }, {"'y'"});
}

TEST(PartitionSpec, S_036_final_cheap_and_a_key) {
  static_assert(std::is_final_v<P> && sizeof(P) <= 2 * sizeof(void*));
  const P spec("x", axes("y", "z"));
  const P copy = spec;
  EXPECT_EQ(copy.entries().data(), spec.entries().data()) << "copies share the entries";
  std::unordered_map<P, int> table{{spec, 1}, {P("x"), 2}};
  EXPECT_EQ(table.at(P("x", Strings{"y", "z"})), 1);
  EXPECT_EQ(table.count(P("x", kNone)), 0u);
}

TEST(PartitionSpec, S_037_law_padding_and_trimming) {
  EXPECT_EQ(P("x").for_rank(3), P("x", kNone, kNone));
  EXPECT_EQ(P("x", kNone, kNone).trimmed(), P("x"));
  EXPECT_EQ(P(kNone).trimmed(), P());
  EXPECT_EQ(P("x", kUnconstrained).trimmed(), P("x", kUnconstrained));
  expect_facts<SpecRankError>([] { P("x", kNone).for_rank(1); }, {"rank 2", "rank 1"});
  for (unsigned seed = 0; seed < 200; ++seed) {
    test::RandomShardings random(seed);
    const P spec = random.spec(random.mesh(), static_cast<size_t>(random.below(5)));
    for (size_t rank = spec.size(); rank < spec.size() + 3; ++rank) {
      EXPECT_EQ(spec.for_rank(rank).size(), rank);
      EXPECT_EQ(spec.for_rank(rank).trimmed(), spec.trimmed());
    }
  }
}

TEST(PartitionSpec, S_040_S_244_unknown_axis) {
  const Mesh mesh = mesh_of({4, 2}, {"data", "model"});
  expect_facts<UnknownAxisError>(
      [&] { NamedSharding(mesh, P("data", axes("modle"))); },
      {"'modle'", "P('data', 'modle')", "'data': 4", "'model': 2", "did you mean 'model'"});
  try {
    NamedSharding(mesh, P("q"));
    ADD_FAILURE();
  } catch (const UnknownAxisError& e) {
    EXPECT_EQ(std::string(e.what()).find("did you mean"), std::string::npos) << e.what();
  }
}

TEST(PartitionSpec, S_041_S_042_types_of_axes) {
  const auto typed = [](AxisType x, AxisType y) { return mesh_of({2, 2}, {"x", "y"}, {x, y}); };
  const Mesh automatic = typed(AxisType::kAuto, AxisType::kAuto),
             mixed = typed(AxisType::kExplicit, AxisType::kAuto),
             checked = typed(AxisType::kExplicit, AxisType::kExplicit);
  EXPECT_EQ(NamedSharding(mixed, P(kUnconstrained)).spec(), P(kUnconstrained));
  expect_facts<SpecError>([&] { NamedSharding(checked, P(kUnconstrained)); },
                          {"UNCONSTRAINED", "Auto", "Explicit"});
  expect_facts<SpecError>([&] { NamedSharding(mixed, P(axes("x", "y"))); },
                          {"'x' is Explicit", "'y' is Auto"});
  const P pending = P("x").with_pending({.unreduced = {"y"}});
  EXPECT_EQ(NamedSharding(checked, pending).spec(), pending);
  expect_facts<SpecError>([&] { NamedSharding(automatic, pending); },
                          {"unreduced", "'y'", "Explicit"});
  expect_facts<SpecError>([&] { NamedSharding(automatic, P().with_pending({.reduced = {"y"}})); },
                          {"reduced", "'y'", "Explicit"});
  expect_facts<UnknownAxisError>(
      [&] { NamedSharding(checked, P().with_pending({.unreduced = {"q"}})); },
      {"unreduced", "'q'"});
}

}  // namespace
}  // namespace linnet::partition_spec_test
