// Meshes: grids of devices with named axes, and which one is current.
#include "linnet/mesh.h"

#include <thread>
#include <unordered_set>

#include "linnet/jit.h"
#include "tests/core/sharding_support.h"
#include "tests/support/fake_device.h"

namespace linnet::mesh_test {
namespace {

using test::expect_facts;
using test::handle;
using test::handles;
using test::mesh_of;
using Strings = std::vector<std::string>;
using Sizes = std::vector<int64_t>;

TEST(Mesh, S_001_grid_of_devices_with_names) {
  const Mesh grid(DeviceGrid(handles(8), {4, 2}), {"x", "y"});
  EXPECT_EQ(grid.axis_names(), (Strings{"x", "y"}));
  EXPECT_EQ(grid.axis_types(), (std::vector{AxisType::kAuto, AxisType::kAuto}));
  const Mesh row(handles(3), {"x"}), single_name(handles(3), "x");
  EXPECT_EQ(row.axis_sizes(), Sizes{3});
  EXPECT_EQ(row, single_name);
  EXPECT_EQ(Mesh({kCpu}, "x").devices(), std::vector<Device>{kCpu});
}

TEST(Mesh, S_002_S_003_S_004_S_005_what_no_mesh_can_be) {
  expect_facts<MeshError>(
      [] {
        Mesh(DeviceGrid(handles(8), {4, 2}), {"x"});
      },
      {"1 name", "rank 2"});
  expect_facts<MeshError>(
      [] {
        Mesh(DeviceGrid(handles(8), {4, 2}), {"x", std::nullopt});
      },
      {"axis 1", "missing"});
  expect_facts<MeshError>([] { Mesh(handles(2), ""); }, {"missing"});
  expect_facts<MeshError>([] { Mesh(DeviceGrid(handles(8), {4, 2}), {"x", "x"}); }, {"'x'"});
  expect_facts<MeshError>(
      [] {
        Mesh({handle(0), handle(1), handle(0)}, "x");
      },
      {"ext:0", "positions 0 and 2"});
  expect_facts<MeshError>([] { Mesh(DeviceGrid(handles(7), {4, 2}), {"x", "y"}); }, {"8", "7"});
}

TEST(Mesh, S_006_S_007_accessors_and_coordinates) {
  const Mesh mesh = mesh_of({4, 2, 3}, {"x", "y", "z"});
  EXPECT_EQ(mesh.axis_sizes(), (Sizes{4, 2, 3}));
  EXPECT_EQ(mesh.shape(),
            (std::vector<std::pair<std::string, int64_t>>{{"x", 4}, {"y", 2}, {"z", 3}}));
  EXPECT_EQ(mesh.size(), 24);
  EXPECT_FALSE(mesh.empty());
  EXPECT_EQ(mesh.devices(), handles(24));
  int number = 0;
  for (int64_t x = 0; x < 4; ++x) {
    for (int64_t y = 0; y < 2; ++y) {
      for (int64_t z = 0; z < 3; ++z, ++number) {
        EXPECT_EQ(mesh.coordinate(handle(number)), (Sizes{x, y, z})) << "the last axis is fastest";
        EXPECT_EQ(mesh.rank_of(handle(number)), number);
      }
    }
  }
  expect_facts<MeshError>([&] { mesh.rank_of(kCpu); }, {"cpu:0", "Mesh('x': 4"});
  expect_facts<UnknownAxisError>([&] { mesh.axis_size("w"); }, {"'w'", "'x': 4"});
}

TEST(Mesh, S_009_equality_and_hash) {
  const Mesh mesh = mesh_of({2, 2}, {"x", "y"});
  EXPECT_EQ(mesh, mesh_of({2, 2}, {"x", "y"}));
  EXPECT_EQ(std::hash<Mesh>{}(mesh), std::hash<Mesh>{}(mesh_of({2, 2}, {"x", "y"})));
  const std::vector<Device> turned{handle(3), handle(2), handle(1), handle(0)};
  const Mesh others[] = {Mesh(DeviceGrid(turned, {2, 2}), {"x", "y"}), mesh_of({2, 2}, {"x", "z"}),
                         mesh_of({2, 2}, {"x", "y"}, {AxisType::kExplicit, AxisType::kAuto}),
                         mesh_of({4, 1}, {"x", "y"}), mesh.abstract()};
  std::unordered_set<Mesh> all{mesh};
  for (const Mesh& other : others) {
    EXPECT_NE(mesh, other);
    all.insert(other);
  }
  all.insert(mesh_of({2, 2}, {"x", "y"}));
  EXPECT_EQ(all.size(), 6u);
}

TEST(Mesh, S_010_text) {
  EXPECT_EQ(to_string(mesh_of({2, 2, 2}, {"x", "y", "z"})),
            "Mesh('x': 2, 'y': 2, 'z': 2, axis_types=(Auto, Auto, Auto))");
  EXPECT_EQ(to_string(mesh_of({1}, "x", AxisType::kManual)), "Mesh('x': 1, axis_types=(Manual,))");
  EXPECT_EQ(to_string(Mesh()), "Mesh()");
}

TEST(Mesh, S_011_the_empty_mesh_is_current_by_default) {
  const Mesh none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0);
  EXPECT_TRUE(none.devices().empty());
  EXPECT_TRUE(none.axis_names().empty());
  EXPECT_EQ(get_mesh(), none);
  EXPECT_TRUE(get_abstract_mesh().empty());
}

TEST(Mesh, S_012_S_013_types_of_axes) {
  const Mesh mesh =
      mesh_of({2, 1, 2, 1}, {"a", "b", "c", "d"},
              {AxisType::kExplicit, AxisType::kAuto, AxisType::kManual, AxisType::kAuto});
  EXPECT_EQ(mesh.explicit_axes(), Strings{"a"});
  EXPECT_EQ(mesh.auto_axes(), (Strings{"b", "d"}));
  EXPECT_EQ(mesh.manual_axes(), Strings{"c"});
  EXPECT_EQ(mesh_of({2}, "x", AxisType::kExplicit).explicit_axes(), Strings{"x"})
      << "one type is a list of one";
  expect_facts<MeshError>(
      [] {
        mesh_of({2, 2}, {"x", "y"}, AxisType::kAuto);
      },
      {"1 axis types", "2 axes", "('x', 'y')"});
}

TEST(Mesh, S_014_abstract_meshes) {
  const AbstractMesh abstract({2, 3}, {"x", "y"});
  EXPECT_EQ(abstract.auto_axes(), (Strings{"x", "y"})) << "one default for all kinds of meshes";
  EXPECT_EQ(make_mesh({1}, "x").auto_axes(), Strings{"x"});
  EXPECT_EQ(mesh_of({2, 3}, {"x", "y"}).abstract(), abstract);
  EXPECT_EQ(abstract.abstract(), abstract);
  EXPECT_EQ(abstract.size(), 6);
  EXPECT_EQ(to_string(abstract), "AbstractMesh('x': 2, 'y': 3, axis_types=(Auto, Auto))");
  expect_facts<MeshError>([&] { abstract.devices(); }, {"no devices", "'x': 2"});
  EXPECT_EQ(NamedSharding(abstract, P("y")).shard_shape({6, 5}), (Shape{2, 5}));
  expect_facts<MeshError>([] { AbstractMesh({2}, {"x", "y"}); }, {"2 names", "1 sizes"});
}

TEST(Mesh, S_015_S_016_S_256_make_mesh_takes_the_first_devices) {
  EXPECT_EQ(make_mesh({2, 2}, {"x", "y"}, {}, handles(6)), mesh_of({2, 2}, {"x", "y"}));
  testing::fake_device();
  EXPECT_EQ(make_mesh({1}, "x").devices(), std::vector<Device>{kCpu});
  const ScopedDevice fakes(testing::fake_device());
  EXPECT_EQ(make_mesh({2}, "x").devices(), handles(2)) << "all of the default device's type";
  expect_facts<MeshError>(
      [] {
        make_mesh({3, 3}, {"x", "y"}, {}, handles(8));
      },
      {"needs 9", "there are 8", "1 process", "8 devices"});
  expect_facts<MeshError>([] { make_mesh({4}, {"x"}); }, {"needs 4", "there are 2"});
}

TEST(Mesh, S_018_devices_of_one_machine_stay_in_order) {
  const DeviceGrid grid = create_device_mesh({2, 3}, handles(6));
  EXPECT_EQ(grid.sizes, (Sizes{2, 3}));
  EXPECT_EQ(Mesh(grid, {"x", "y"}), mesh_of({2, 3}, {"x", "y"}));
  const ScopedDevice fakes(testing::fake_device());
  EXPECT_EQ(create_device_mesh({2}).devices, handles(2)) << "all of the default device's type";
  expect_facts<MeshError>([] { create_device_mesh({2, 2}, handles(6)); }, {"6 devices", "is 4"});
  expect_facts<MeshError>([] { create_device_mesh({4, 2}, handles(6)); }, {"6 devices", "is 8"});
  expect_facts<MeshError>([] { create_device_mesh({0, 2}, handles(6)); }, {"positive"});
}

TEST(Mesh, S_019_islands_vary_last_along_each_axis) {
  std::vector<std::vector<Device>> islands(4);
  for (int i = 0; i < 16; ++i) islands[static_cast<size_t>(i / 4)].push_back(handle(i));
  const auto order = [&](const Sizes& inner, const Sizes& outer) {
    std::vector<int> out;
    for (const Device& device : create_hybrid_device_mesh(inner, outer, islands).devices)
      out.push_back(device.index);
    return out;
  };
  // As numpy.block of [[island 0, island 1], [island 2, island 3]].
  EXPECT_EQ(order({2, 2}, {2, 2}),
            (std::vector<int>{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}));
  EXPECT_EQ(order({1, 4}, {4, 1}),
            (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(order({4, 1}, {1, 4}),
            (std::vector<int>{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}));
  EXPECT_EQ(create_hybrid_device_mesh({2, 2, 1}, {1, 2, 2}, islands).sizes, (Sizes{2, 4, 2}));
  expect_facts<MeshError>(
      [&] {
        create_hybrid_device_mesh({2, 2}, {2, 1}, islands);
      },
      {"4 islands", "is 2"});
  expect_facts<MeshError>(
      [&] {
        create_hybrid_device_mesh({2, 1}, {2, 2}, islands);
      },
      {"4 devices", "is 2"});
  expect_facts<MeshError>(
      [&] {
        create_hybrid_device_mesh({4}, {2, 2}, islands);
      },
      {"1 inner", "2 outer"});
}

TEST(Mesh, S_017_S_020_open_and_impossible_sizes) {
  EXPECT_EQ(make_mesh({-1, 2}, {"x", "y"}, {}, handles(6)).axis_sizes(), (Sizes{3, 2}));
  EXPECT_EQ(make_mesh({2, -1}, {"x", "y"}, {}, handles(2)).axis_sizes(), (Sizes{2, 1}));
  expect_facts<MeshError>([] { make_mesh({-1, 4}, {"x", "y"}, {}, handles(6)); }, {"6", "4", "-1"});
  expect_facts<MeshError>(
      [] {
        make_mesh({-1, -1}, {"x", "y"}, {}, handles(6));
      },
      {"only one", "[-1,-1]"});
  expect_facts<MeshError>(
      [] {
        make_mesh({0, 2}, {"x", "y"}, {}, handles(6));
      },
      {"positive integers", "got 0"});
  expect_facts<MeshError>([] { make_mesh({2, -3}, {"x", "y"}, {}, handles(6)); }, {"got -3"});
  expect_facts<MeshError>([] { make_mesh({-1, 0}, {"x", "y"}, {}, handles(6)); }, {"got 0"});
  expect_facts<MeshError>([] { AbstractMesh({-1}, "x"); }, {"got -1"});
}

TEST(Mesh, S_021_set_mesh_for_a_scope_or_for_good) {
  const Mesh outer = mesh_of({2}, "x"), inner = mesh_of({2, 2}, {"a", "b"});
  {
    const auto scope = set_mesh(outer);
    EXPECT_EQ(get_mesh(), outer);
    EXPECT_EQ(get_abstract_mesh(), outer.abstract());
    try {
      const auto nested = set_mesh(inner);
      EXPECT_EQ(get_mesh(), inner);
      throw std::runtime_error("left early");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(get_mesh(), outer);
  }
  EXPECT_TRUE(get_mesh().empty());
  set_mesh(outer).release();
  EXPECT_EQ(get_mesh(), outer);
  set_mesh(Mesh()).release();
  EXPECT_TRUE(get_mesh().empty());
}

TEST(Mesh, S_022_set_mesh_not_under_a_trace_nor_with_manual_axes) {
  const Mesh mesh = mesh_of({2}, "x");
  const auto f = jit([&](const Tensor& x) {
    const auto scope = set_mesh(mesh);
    return x + 1.f;
  });
  expect_facts<MeshError>([&] { f(Tensor(1.f)); }, {"set_mesh", "jit", "around the call"});
  expect_facts<MeshError>([] { (void)set_mesh(mesh_of({2}, "x", AxisType::kManual)); },
                          {"Manual", "shard_map"});
  expect_facts<MeshError>([&] { (void)set_mesh(mesh.abstract()); }, {"no devices"});
  EXPECT_TRUE(get_mesh().empty());
}

TEST(Mesh, S_023_a_program_belongs_to_a_mesh) {
  int traces = 0;
  const auto f = jit([&](const Tensor& x) {
    ++traces;
    return x + static_cast<float>(current_mesh().size());
  });
  const auto under = [&](const Mesh& mesh) {
    const auto scope = set_mesh(mesh);
    return f(Tensor(1.f)).item<float>();
  };
  EXPECT_EQ(under(mesh_of({4}, "x")), 5.f);
  EXPECT_EQ(under(mesh_of({4}, "x")), 5.f);
  EXPECT_EQ(traces, 1) << "an equal mesh, not the same";
  EXPECT_EQ(under(mesh_of({2}, "x")), 3.f);
  EXPECT_EQ(f(Tensor(1.f)).item<float>(), 1.f);
  EXPECT_EQ(under(Mesh({handle(3), handle(2), handle(1), handle(0)}, "x")), 5.f);
  EXPECT_EQ(traces, 4) << "another size, none, other places";
  EXPECT_EQ(under(mesh_of({4}, "x")), 5.f);
  EXPECT_EQ(traces, 4);
}

TEST(Mesh, S_024_nested_contexts) {
  const Mesh mesh = mesh_of({4}, "x");
  const auto outer = set_mesh(mesh);
  {
    const auto same = set_mesh(mesh_of({4}, "x"));
    EXPECT_EQ(get_mesh(), mesh);
    const auto inner = set_mesh(mesh_of({2, 2}, {"a", "b"}));
    EXPECT_EQ(get_mesh().axis_names(), (Strings{"a", "b"}));
  }
  EXPECT_EQ(get_mesh(), mesh);
  const auto under = [](const AbstractMesh& changed) {
    return jit([=](const Tensor& x) {
      const auto scope = use_abstract_mesh(changed);
      EXPECT_EQ(get_abstract_mesh(), changed);
      EXPECT_TRUE(current_mesh().is_abstract());
      return x + 1.f;
    });
  };
  EXPECT_EQ(under(AbstractMesh({2, 2}, {"a", "b"}))(Tensor(1.f)).item<float>(), 2.f)
      << "other names for as many positions";
  expect_facts<MeshError>([&] { under(AbstractMesh({2}, "a"))(Tensor(1.f)); },
                          {"'x': 4", "'a': 2", "traced"});
  EXPECT_EQ(current_mesh(), mesh);
}

TEST(Mesh, S_025_each_thread_has_its_own) {
  const Mesh mine = mesh_of({2}, "mine"), others = mesh_of({2}, "others");
  const auto scope = set_mesh(mine);
  std::thread other([&] {
    EXPECT_TRUE(get_mesh().empty());
    const auto inside = set_mesh(others);
    EXPECT_EQ(get_mesh(), others);
  });
  other.join();
  EXPECT_EQ(get_mesh(), mine);
}

}  // namespace
}  // namespace linnet::mesh_test
