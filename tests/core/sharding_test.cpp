// Shardings: which piece of an array which device holds.
#include "linnet/sharding.h"

#include <map>
#include <set>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"
#include "tests/core/sharding_support.h"
#include "tests/support/fake_device.h"

namespace linnet::sharding_test {
namespace {

using test::expect_facts;
using test::handle;
using test::handles;
using test::mesh_of;
using test::RandomShardings;

const Mesh& mesh42() {
  static const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  return mesh;
}
NamedSharding on42(P spec) { return NamedSharding(mesh42(), std::move(spec)); }

TEST(NamedSharding, S_029_S_039_mesh_spec_and_memory) {
  const NamedSharding s = on42(P("x"));
  EXPECT_EQ(s.mesh(), mesh42());
  EXPECT_EQ(s.spec(), P("x"));
  EXPECT_EQ(s.memory_kind(), "device");
  EXPECT_EQ(s.shard_shape({8, 4, 3}), (Shape{2, 4, 3})) << "later dimensions are whole";
  EXPECT_EQ(on42(P()).shard_shape({8, 4}), (Shape{8, 4}));
  EXPECT_TRUE(NamedSharding(mesh42().abstract(), P("x")).is_abstract());
  EXPECT_EQ(to_string(s),
            "NamedSharding(mesh=Mesh('x': 4, 'y': 2, axis_types=(Auto, Auto)), spec=P('x',), "
            "memory_kind=device)");
}

TEST(NamedSharding, S_043_shard_shapes) {
  const std::pair<P, Shape> table[] = {{P("x", "y"), {2, 2}},
                                       {P("x"), {2, 4}},
                                       {P("y"), {4, 4}},
                                       {P(kNone, "y"), {8, 2}},
                                       {P(kNone, "x"), {8, 1}},
                                       {P(axes("x", "y")), {1, 4}},
                                       {P(), {8, 4}}};
  for (const auto& [spec, shape] : table)
    EXPECT_EQ(on42(spec).shard_shape({8, 4}), shape) << to_string(spec);
}

TEST(NamedSharding, S_044_S_045_S_247_sizes_that_do_not_divide) {
  expect_facts<IndivisibleError>(
      [] {
        on42(P(kNone, axes("x", "y"))).shard_shape({3, 12});
      },
      {"P(None, ('x', 'y'))", "dimension 1", "12", "8", "8 or 16"});
  expect_facts<IndivisibleError>([] { on42(P("x")).devices_indices_map({6}); },
                                 {"dimension 0", "6", "4", "4 or 8"});
  expect_facts<IndivisibleError>([] { on42(P("x")).shard_shape({3}); }, {"hint: 4 would fit"});
  EXPECT_EQ(on42(P("x", "y")).shard_shape({0, 4}), (Shape{0, 2}));
  const auto pieces = on42(P("x")).devices_indices_map({0});
  for (const auto& [device, box] : pieces) EXPECT_EQ(box, (IndexBox{{0, 0}}));
}

TEST(NamedSharding, S_046_the_first_axis_of_an_entry_is_the_most_significant) {
  const auto major_x = on42(P(axes("x", "y"))), major_y = on42(P(axes("y", "x")));
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const auto at = static_cast<size_t>(2 * i + j);
      EXPECT_EQ(major_x.tiling(1).blocks[at][0], 2 * i + j);
      EXPECT_EQ(major_y.tiling(1).blocks[at][0], 4 * j + i);
    }
  }
}

TEST(NamedSharding, S_047_S_048_index_boxes) {
  const auto map = on42(P("y", "x")).devices_indices_map({8, 4});
  ASSERT_EQ(map.size(), 8u);
  EXPECT_EQ(map[0].first, handle(0));
  EXPECT_EQ(to_string(map[0].second), "[0:4, 0:1]");
  std::map<IndexBox, Device> by_tile;
  for (const auto& [device, box] : map) by_tile[box] = device;
  std::vector<int> order;
  for (const auto& [box, device] : by_tile) order.push_back(device.index);
  EXPECT_EQ(order, (std::vector<int>{0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_EQ(on42(P("y", "x")).addressable_devices_indices_map({8, 4}), map)
      << "all devices are of this process";
  const NamedSharding abstract(mesh42().abstract(), P("y", "x"));
  EXPECT_EQ(abstract.index_box({8, 4}, 3), map[3].second);
  expect_facts<MeshError>([&] { abstract.devices_indices_map({8, 4}); }, {"no devices"});
  expect_facts<MeshError>([&] { abstract.index_box({8, 4}, 8); }, {"no position 8"});
}

/// A shape that the tiling divides.
Shape fitting_shape(RandomShardings& random, const NamedSharding& sharding, size_t rank) {
  Shape out;
  for (int64_t count : sharding.tiling(rank).counts) out.push_back(count * random.below(3));
  return out;
}

TEST(NamedSharding, S_049_law_boxes_partition_the_index_space) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    RandomShardings random(seed);
    const Mesh mesh = random.mesh();
    const auto rank = static_cast<size_t>(random.below(4));
    const NamedSharding s(mesh, random.spec(mesh, rank));
    const Shape shape = fitting_shape(random, s, rank);
    std::set<std::string> used;
    for (const SpecEntry& entry : s.spec()) used.insert(entry.axes().begin(), entry.axes().end());
    const auto key = [&](Device device) {  // the coordinate along the used axes
      std::vector<int64_t> out;
      const std::vector<int64_t> at = mesh.coordinate(device);
      for (size_t i = 0; i < at.size(); ++i) {
        if (used.contains(mesh.axis_names()[i])) out.push_back(at[i]);
      }
      return out;
    };
    std::vector<int> covered(static_cast<size_t>(element_count(shape)));
    std::map<std::vector<int64_t>, IndexBox> boxes;
    for (const auto& [device, box] : s.devices_indices_map(shape)) {
      const auto [found, fresh] = boxes.emplace(key(device), box);
      EXPECT_EQ(found->second, box) << "unused axes make copies";
    }
    for (const auto& [at, box] : boxes) {
      for (size_t flat = 0; flat < covered.size(); ++flat) {
        auto rest = static_cast<int64_t>(flat);
        bool inside = true;
        for (size_t d = rank; d-- > 0;) {
          const int64_t i = rest % shape[d];
          rest /= shape[d];
          inside = inside && box[d].begin <= i && i < box[d].end;
        }
        covered[flat] += inside;
      }
    }
    for (int count : covered) ASSERT_EQ(count, 1) << to_string(s) << " " << to_string(shape);
  }
}

TEST(NamedSharding, S_050_replicas) {
  const NamedSharding rows = on42(P("x"));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(rows.replica_id(handle(i)), i % 2);
  const NamedSharding columns = on42(P("y"));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(columns.replica_id(handle(i)), i / 2);
  expect_facts<MeshError>([&] { rows.replica_id(kCpu); }, {"cpu:0"});
  for (unsigned seed = 0; seed < 100; ++seed) {
    RandomShardings random(seed);
    const Mesh mesh = random.mesh();
    const NamedSharding s(mesh, random.spec(mesh, 3));
    std::map<std::vector<int64_t>, std::vector<int64_t>> replicas;
    for (size_t i = 0; i < mesh.devices().size(); ++i)
      replicas[s.tiling(3).blocks[i]].push_back(s.replica_id(mesh.devices()[i]));
    for (const auto& [block, numbers] : replicas) {
      for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], static_cast<int64_t>(i));
    }
  }
}

TEST(NamedSharding, S_051_fully_replicated) {
  const auto replicated = [](std::vector<int64_t> sizes, const MeshAxisNames& names,
                             const P& spec) {
    return NamedSharding(mesh_of(std::move(sizes), names), spec).is_fully_replicated();
  };
  for (const P& spec : {P(kNone), P(SpecEntry(std::vector<std::string>{})), P()})
    EXPECT_TRUE(replicated({2, 1}, {"x", "y"}, spec));
  EXPECT_TRUE(replicated({1, 1}, {"x", "y"}, P("x", "y")));
  EXPECT_FALSE(replicated({4, 2}, {"x", "y"}, P("x", "y")));
  EXPECT_FALSE(replicated({4, 2}, {"x", "y"}, P(kNone, "y")));
  EXPECT_TRUE(replicated({1, 2, 4}, {"x", "y", "z"}, P("x", kNone, kNone)));
  const auto pending = [](int64_t size) {
    const Mesh mesh = mesh_of({2, size}, {"x", "y"}, {AxisType::kExplicit, AxisType::kExplicit});
    return NamedSharding(mesh, P().with_pending({.unreduced = {"y"}})).is_fully_replicated();
  };
  EXPECT_FALSE(pending(2));
  EXPECT_TRUE(pending(1));
}

TEST(NamedSharding, S_052_S_053_devices_and_memories) {
  EXPECT_TRUE(on42(P("x")).is_fully_addressable());
  EXPECT_FALSE(NamedSharding(mesh42().abstract(), P()).is_fully_addressable());
  EXPECT_EQ(on42(P()).num_devices(), 8u);
  const Mesh turned({handle(2), handle(0), handle(1)}, "x");
  EXPECT_EQ(NamedSharding(turned, P()).device_set(), handles(3));
  expect_facts<SpecError>([] { NamedSharding(mesh42(), P(), "pinned"); },
                          {"ext:0", "'pinned'", "device"});
}

TEST(NamedSharding, S_054_S_057_equality_and_changed_copies) {
  const NamedSharding s = on42(P("x"));
  EXPECT_EQ(s, on42(P(axes("x"))));
  EXPECT_EQ(std::hash<NamedSharding>{}(s), std::hash<NamedSharding>{}(on42(P(axes("x")))));
  EXPECT_NE(s, on42(P("x", kNone)));
  EXPECT_NE(s, NamedSharding(mesh_of({4, 2}, {"x", "z"}), P("x")));
  EXPECT_EQ(s.with_spec(P("y")), on42(P("y")));
  EXPECT_EQ(s.with_memory_kind("device"), s);
  expect_facts<UnknownAxisError>([&] { s.with_spec(P("q")); }, {"'q'"});
  expect_facts<SpecError>([&] { s.with_memory_kind("disk"); }, {"'disk'"});
}

TEST(NamedSharding, S_055_one_device) {
  const SingleDeviceSharding alone(handle(3));
  const Mesh one({handle(3)}, "z");
  EXPECT_TRUE(alone.is_equivalent_to(NamedSharding(one, P()), 2));
  EXPECT_TRUE(NamedSharding(one, P("z")).is_equivalent_to(alone, 2));
  EXPECT_FALSE(alone.is_equivalent_to(NamedSharding(Mesh({handle(2)}, "z"), P()), 2));
  EXPECT_FALSE(alone.is_equivalent_to(on42(P()), 2));
  EXPECT_TRUE(alone.is_fully_replicated());
  EXPECT_EQ(alone.shard_shape({3, 5}), (Shape{3, 5}));
  EXPECT_EQ(to_string(alone), "SingleDeviceSharding(device=ext:3, memory_kind=device)");
  EXPECT_EQ(sharding_of(ones({2})), SingleDeviceSharding(kCpu));
}

TEST(NamedSharding, S_056_equivalence) {
  const auto same = [](const NamedSharding& a, const NamedSharding& b, size_t rank) {
    EXPECT_EQ(a.is_equivalent_to(b, rank), b.is_equivalent_to(a, rank));
    return a.is_equivalent_to(b, rank);
  };
  EXPECT_TRUE(same(on42(P("x")), on42(P("x", kNone)), 2));
  EXPECT_FALSE(same(on42(P("x")), on42(P()), 1));
  EXPECT_FALSE(same(on42(P(axes("x", "y"))), on42(P(axes("y", "x"))), 1));
  EXPECT_FALSE(same(on42(P("x", "y")), on42(P("y", "x")), 2));
  const Mesh narrow = mesh_of({1, 8}, {"x", "y"});
  EXPECT_TRUE(same(NamedSharding(narrow, P("x")), NamedSharding(narrow, P()), 1));
  EXPECT_TRUE(same(NamedSharding(mesh_of({8}, "z"), P("z")), on42(P(axes("x", "y"))), 1))
      << "names do not matter, boxes do";
  std::vector<Device> turned = handles(8);
  std::swap(turned[0], turned[1]);
  EXPECT_FALSE(same(on42(P()), NamedSharding(Mesh(DeviceGrid(turned, {4, 2}), {"x", "y"}), P()), 1))
      << "another order of devices";
}

TEST(NamedSharding, S_056_law_an_equivalence_relation_that_means_equal_boxes) {
  RandomShardings random(5);
  std::vector<NamedSharding> all;
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{2, 2, 1}, {4, 1, 1}, {1, 2, 2}}) {
    const Mesh mesh = mesh_of(sizes, {"x", "y", "z"});
    for (int i = 0; i < 15; ++i) all.emplace_back(mesh, random.spec(mesh, 2));
  }
  const Shape shape{8, 8};
  for (const NamedSharding& a : all) {
    EXPECT_TRUE(a.is_equivalent_to(a, 2));
    for (const NamedSharding& b : all) {
      const bool equal = a.is_equivalent_to(b, 2);
      EXPECT_EQ(equal, a.devices_indices_map(shape) == b.devices_indices_map(shape))
          << to_string(a) << "\n"
          << to_string(b);
      EXPECT_EQ(equal, b.is_equivalent_to(a, 2));
      for (const NamedSharding& c : all) {
        if (equal && b.is_equivalent_to(c, 2)) {
          EXPECT_TRUE(a.is_equivalent_to(c, 2));
        }
      }
    }
  }
}

TEST(NamedSharding, S_058_no_spec_at_all) {
  expect_facts<SpecError>([] { NamedSharding(mesh42(), kNone); }, {"no spec", "P()"});
}

TEST(ShardingConstraint, S_076_S_078_law_no_value_and_no_gradient_changes) {
  RandomShardings random(7);
  const auto bits = [](const Tensor& t) { return t.to_vector<float>(); };
  const Tensor x = astype(sin(arange(8 * 16)), DType::kF32).reshape({8, 16});
  for (int i = 0; i < 20; ++i) {
    const Mesh mesh = i % 2 ? mesh_of({4, 2}, {"x", "y"}) : mesh_of({2, 1, 2}, {"x", "y", "z"});
    const NamedSharding sharding(mesh, random.spec(mesh, 2));
    const auto f = [&](const Tensor& a) { return with_sharding_constraint(a, sharding); };
    EXPECT_EQ(bits(f(x)), bits(x)) << to_string(sharding);
    EXPECT_EQ(bits(jit(f)(x)), bits(x)) << to_string(sharding);
    const auto loss = [](const auto& g) { return [g](const Tensor& a) { return sum(sin(g(a))); }; };
    const auto same = [](const Tensor& a) { return a; };
    EXPECT_EQ(bits(grad(loss(f))(x)), bits(grad(loss(same))(x))) << to_string(sharding);
  }
  // A bare spec is one of the current mesh, inside a program too; none is no spec.
  const auto narrow = [](const Tensor& a) { return with_sharding_constraint(a, P(kNone, "x")); };
  expect_facts<MeshError>([&] { jit(narrow)(ones({8, 4})); }, {"P(None, 'x')", "set_mesh"});
  const auto scope = set_mesh(mesh42());
  EXPECT_EQ(bits(jit(narrow)(ones({8, 4}))), bits(ones({8, 4})));
  expect_facts<SpecError>([&] { with_sharding_constraint(ones({8, 4}), kNone); }, {"P()"});
}

TEST(ShardingConstraint, S_077_what_does_not_divide_is_refused_inside_programs_too) {
  const NamedSharding sharding = on42(P(kNone, "x"));
  const auto f = jit([&](const Tensor& a) { return with_sharding_constraint(a * 2.f, sharding); });
  expect_facts<IndivisibleError>(
      [&] {
        f(ones({8, 6}));
      },
      {"P(None, 'x')", "dimension 1", "6", "4"});
  EXPECT_EQ(f(ones({8, 8})).shape(), (Shape{8, 8}));
}

struct Layer {
  Tensor kernel, bias;
  LINNET_FIELDS(kernel, bias)
};

TEST(ShardingConstraint, S_079_trees_leaf_by_leaf) {
  using Tree = std::map<std::string, Layer>;
  const Tree tree{{"down", {ones({8, 4}), ones({4})}}, {"up", {ones({4, 8}) * 2, ones({8})}}};
  const auto run = [&](const SpecsByPath& specs) {
    return jit([&](const Tree& t) { return with_sharding_constraint(t, specs); })(tree);
  };
  expect_facts<MeshError>([&] { run({{"up", P()}}); }, {"set_mesh"});
  const auto scope = set_mesh(mesh42());
  const SpecsByPath specs{{"down", P("x")}, {"up/kernel", P(kUnconstrained, "y")}, {"", P()}};
  const Tree out = run(specs);
  for (const auto& [name, layer] : out) {
    EXPECT_EQ(layer.kernel.to_vector<float>(), tree.at(name).kernel.to_vector<float>());
    EXPECT_EQ(layer.bias.to_vector<float>(), tree.at(name).bias.to_vector<float>());
  }
  // Each spec is checked against the leaves at or below its path, the longest first.
  expect_facts<SpecRankError>([&] { run({{"up", P(kNone, "x")}}); }, {"P(None, 'x')"});
  EXPECT_NO_THROW(run({{"up", P(kNone, "x")}, {"up/bias", P("x")}}));
  expect_facts<IndivisibleError>(
      [&] {
        run({{"down/kernel", P(kNone, axes("x", "y"))}});
      },
      {"dimension 1", "4", "8"});
  expect_facts<SpecError>(
      [&] {
        run({{"up/scale", P()}, {"sideways", P()}, {"up", P("y")}});
      },
      {"'sideways', 'up/scale'"});
}

TEST(ShardingConstraint, S_085_programs_from_types_on_an_abstract_mesh) {
  const AbstractMesh mesh({4, 2}, {"x", "y"});
  const auto f = jit([&](const Tensor& a) {
    return matmul(with_sharding_constraint(a, NamedSharding(mesh, P("x"))), a.transpose());
  });
  const auto scope = use_abstract_mesh(mesh);
  const Lowered lowered = f.lower(abstract({DType::kF32, {8, 3}, false, default_device()}));
  EXPECT_NE(lowered.text().find("f32[8,8]"), std::string::npos) << lowered.text();
  expect_facts<IndivisibleError>(
      [&] {
        f.lower(abstract({DType::kF32, {6, 3}, false, default_device()}));
      },
      {"6", "4"});
}

TEST(Shards, S_070_results_are_where_their_operands_are) {
  for (const Device device : {kCpu, testing::fake_device(1)}) {
    const Tensor x = ones({3, 5}).to(device);
    for (const Tensor& y : {x + x, zeros_like(x), astype(x, DType::kF64), exp(x) * 2.f})
      EXPECT_TRUE(sharding_of(y).is_equivalent_to(sharding_of(x), 2)) << to_string(device);
  }
}

TEST(Shards, S_059_an_array_has_a_global_shape_and_pieces) {
  const Tensor x = ones({3, 5});
  EXPECT_EQ(x.shape(), (Shape{3, 5}));
  const std::vector<Shard> shards = addressable_shards(x);
  ASSERT_EQ(shards.size(), 1u);
  EXPECT_EQ(shards[0].device, x.device());
  EXPECT_EQ(to_string(shards[0].index), "[0:3, 0:5]");
  EXPECT_EQ(shards[0].replica_id, 0);
  EXPECT_EQ(shards[0].data.impl(), x.impl());
  EXPECT_EQ(sharding_of(x).shard_shape(x.shape()), shards[0].data.shape());
}

}  // namespace
}  // namespace linnet::sharding_test
