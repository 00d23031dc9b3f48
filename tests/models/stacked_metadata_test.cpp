// Parameters that transformations of both module APIs stack: paths, shapes, names of axes and
// values against Flax (reference/cases/stacked_metadata.py).
#include "linnet/jit.h"
#include "linnet/linen.h"
#include "linnet/linen/partitioning.h"
#include "linnet/linen/transforms.h"
#include "linnet/nnx.h"
#include "tests/models/model_golden.h"

namespace linnet::stacked_metadata_test {
namespace {

using linen::Scope;
using linen::Variables;
using testing::check_output;
using testing::check_tree;

constexpr int64_t kCount = 4, kWidth = 3;
constexpr double kTolerance = 1e-5;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile file("stacked_metadata");
  return file;
}
Tensor input() { return random::normal(Key(1), {2, kWidth}); }
Metadata name_of_axis(const char* name) { return {{kPartitionName, std::string(name)}}; }

using Step = std::pair<Tensor, std::tuple<>>;

/// Parameters in boxes of both kinds and in none, and a count in a box.
struct Layer {
  LINNET_FIELDS()
  Step operator()(Scope& s, const Tensor& x) const {
    const Tensor kernel =
        linen::param(s, "kernel", linen::with_partitioning(init::lecun_normal(), {"in", "out"}),
                     {kWidth, kWidth}, DType::kF32);
    const Tensor scale =
        linen::param(s, "scale", linen::with_logical_partitioning(init::ones(), {kNone, "mlp"}),
                     {1, kWidth}, DType::kF32);
    const Tensor bare = s.param("bare", init::lecun_normal(), {kWidth, kWidth});
    if (s.is_initializing())
      s.put_leaf("stats", {"seen"}, linen::partitioned(zeros({kWidth}), {"in"}));
    const auto seen = s.variable("stats", "seen", [] { return zeros({kWidth}); });
    if (!s.is_initializing()) seen.set(seen.value() + 1);
    return {matmul(tanh(matmul(x, kernel) * scale), bare), {}};
  }
};

/// What init makes and what a call leaves, eager and compiled.
template <class Module>
void check(const std::string& name, const Module& module) {
  SCOPED_TRACE(name);
  const Tensor x = input();
  const Variables made = linen::init(module, Key(0), x);
  check_tree(golden(), name + "/made", made, testing::kInitial);
  const auto call = [&](const Variables& variables, const Tensor& at) {
    return linen::apply_with({.mutate = true}, module, variables, at);
  };
  for (const bool compiled : {false, true}) {
    const auto [y, updates] = compiled ? jit(call)(made, x) : call(made, x);
    check_output(golden(), name + "/out", y.first, kTolerance);
    check_tree(golden(), name + "/after", updates, testing::kInitial);
  }
}

/// Positions from the front and from the end of an array that has one dimension more than two.
struct Position {
  int64_t axis, same;
};
const std::vector<Position> kPositions{{0, 0}, {1, 1}, {2, 2}, {-1, 2}, {-2, 1}, {-3, 0}};

TEST(StackedMetadata, S_150_S_153_vmap) {
  for (const auto& [axis, same] : kPositions) {
    check("vmap/" + std::to_string(same),
          linen::vmap(Layer{}, {.variable_axes = {{"params", axis}, {"stats", 0}},
                                .split_rngs = {{"params", true}},
                                .in_axes = {kNone},
                                .axis_size = kCount,
                                .metadata_params = name_of_axis("layers")}));
  }
}

linen::ScanOptions layers_along(int64_t axis) {
  return {.variable_axes = {{"params", axis}, {"stats", 0}},
          .split_rngs = {{"params", true}},
          .length = kCount,
          .metadata_params = name_of_axis("layers")};
}

TEST(StackedMetadata, S_150_S_153_scan) {
  for (const auto& [axis, same] : kPositions)
    check("scan/" + std::to_string(same), linen::scan(Layer{}, layers_along(axis)));
  check("scan_of_remat", linen::scan(linen::remat(Layer{}), layers_along(1)));
}

TEST(StackedMetadata, S_151_scan_that_stacks_nothing) {
  const Tensor x = input();
  const Variables made = linen::init(Layer{}, Key(0), x);
  const auto shared = linen::scan(Layer{}, {.variable_broadcast = "params",
                                            .variable_carry = "stats",
                                            .split_rngs = {{"params", false}},
                                            .length = kCount,
                                            .metadata_params = name_of_axis("layers")});
  const auto [y, updates] = linen::apply_with({.mutate = true}, shared, made, x);
  check_output(golden(), "scan/shared/out", y.first, kTolerance);
  check_tree(golden(), "scan/shared/after", updates, testing::kInitial);
}

TEST(StackedMetadata, S_155_scan_of_vmap) {
  const auto heads = linen::vmap(Layer{}, {.variable_axes = {{"params", 1}, {"stats", 0}},
                                           .split_rngs = {{"params", true}},
                                           .in_axes = {kNone},
                                           .axis_size = 2,
                                           .metadata_params = name_of_axis("heads")});
  const auto block = [heads](Scope& s, const Tensor& x) {
    return Step(sum(s("heads", heads, x).first, 0), {});
  };
  check("scan_of_vmap", linen::scan(block, layers_along(0)));
}

TEST(StackedMetadata, S_156_add_metadata_axis) {
  for (const int64_t axis : {0, 1, 2}) {
    check("add_metadata_axis/" + std::to_string(axis),
          linen::add_metadata_axis(Layer{}, {"params", axis}, name_of_axis("layers")));
  }
}

/// The same as an object; a second annotation follows the axes too.
struct Annotated {
  nnx::Param kernel, scale, bare;
  nnx::BatchStat seen;
  explicit Annotated(nnx::Rngs& rngs)
      : kernel(random::normal(rngs["params"](), {kWidth, kWidth}),
               {{"out_sharding", AxisNames{"in", "out"}}, {"nickname", AxisNames{"a", "b"}}}),
        scale(ones({1, kWidth}), {{"out_sharding", AxisNames{kNone, "mlp"}}}),
        bare(random::normal(rngs["params"](), {kWidth, kWidth}), {{"tag", "plain"}}),
        seen(zeros({kWidth}), {{"out_sharding", AxisNames{"in"}}}) {}
  LINNET_FIELDS(kernel, scale, bare, seen)
  Tensor operator()(const Tensor& x) {
    seen = seen.value() + 1;
    return matmul(tanh(matmul(x, kernel) * scale), bare);
  }
};

TEST(StackedMetadata, S_186_S_187_S_188_objects) {
  const Metadata names{{kPartitionName, std::string("layers")}, {"nickname", std::string("nick")}};
  const Tensor x = input();
  for (const auto& [axis, same] : kPositions) {
    const std::string name = "nnx/" + std::to_string(same) + "/";
    SCOPED_TRACE(axis);
    const nnx::StateAxes axes{{nnx::of_type<nnx::Param>(), axis}, {nnx::everything(), 0}};
    nnx::Rngs rngs(0);
    Annotated model = nnx::split_rngs(
        {.splits = kCount}, nnx::vmap([](nnx::Rngs& r) { return Annotated(r); },
                                      {.out_axes = {axes}, .transform_metadata = names}))(rngs);
    check_tree(golden(), name + "made", nnx::state(model), testing::kInitial);
    const auto inside = [](Annotated& m) {
      EXPECT_EQ(*m.kernel.metadata().get<AxisNames>("nickname"), (AxisNames{"a", "b"}));
      EXPECT_EQ(*m.scale.metadata().get<AxisNames>("out_sharding"), (AxisNames{kNone, "mlp"}));
      EXPECT_EQ(*m.seen.metadata().get<AxisNames>("out_sharding"), (AxisNames{"in"}));
    };
    const auto map = nnx::vmap(
        [&](Annotated& m, const Tensor& at) {
          inside(m);
          return m(at);
        },
        {.in_axes = {axes, nnx::kNone}, .transform_metadata = names});
    const auto loop = nnx::scan(
        [&](const Tensor& h, Annotated& m) {
          inside(m);
          return m(h);
        },
        {.in_axes = {nnx::kCarry, axes}, .out_axes = {nnx::kCarry}, .transform_metadata = names});
    Annotated other = nnx::clone(model);
    const auto check_calls = [&](Annotated& m, const auto& mapped, const auto& scanned) {
      check_output(golden(), name + "mapped", mapped(m, x), kTolerance);
      check_tree(golden(), name + "after_vmap", nnx::state(m), testing::kInitial);
      check_output(golden(), name + "scanned", scanned(x, m), kTolerance);
      check_tree(golden(), name + "after_scan", nnx::state(m), testing::kInitial);
    };
    check_calls(model, map, loop);
    check_calls(other, jit([&](Annotated& m, const Tensor& at) { return map(m, at); }),
                jit([&](const Tensor& h, Annotated& m) { return loop(h, m); }));
  }
}

}  // namespace
}  // namespace linnet::stacked_metadata_test
