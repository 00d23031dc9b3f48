// Boxes under lifted transformations: the names of a box follow the axes of its array.
#include "linnet/linen/partitioning.h"
#include "linnet/linen/transforms.h"
#include "tests/modules/partitioning_support.h"

namespace linnet::linen_partitioning_transforms_test {
namespace {

using linen::Scope;
using linen::Variables;
using test::expect_facts;
using test::partition;

P spec(const Variables& variables, const std::string& path) {
  return linen::get_partition_spec(variables).at(path);
}

/// A boxed parameter, and a boxed variable of collection `stats`.
struct Layer {
  bool boxed = true;
  bool counts = false;  ///< writes the variable

  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor kernel = s.param("kernel", [&](const Key& key) {
      const Tensor value = random::normal(key, {x.shape(-1), x.shape(-1)});
      return boxed ? linen::partitioned(value, {"in", "out"}) : Variables(value);
    });
    if (boxed) {
      EXPECT_EQ(linen::get_partition_spec(*s.find_leaf("params", {"kernel"})).at(""),
                P("in", "out"))
          << "inside the axis is not there";
    }
    const auto seen = s.variable("stats", "seen", [&] { return zeros({x.shape(-1)}); });
    if (s.is_initializing())
      s.put_leaf("stats", {"seen"}, linen::partitioned(zeros({x.shape(-1)}), {"in"}));
    if (counts) seen.set(seen.value() + 1);
    return matmul(x, kernel);
  }
};

linen::VmapOptions batch(int64_t axis, Metadata names) {
  return {.variable_axes = {{"params", axis}, {"stats", kNone}},
          .split_rngs = {{"params", true}},
          .metadata_params = std::move(names)};
}

auto stacked(const Layer& layer, int64_t axis, Metadata names) {
  linen::ScanOptions options{.variable_axes = {{"params", axis}},
                             .split_rngs = {{"params", true}},
                             .length = 5,
                             .metadata_params = std::move(names)};
  (layer.counts ? options.variable_carry : options.variable_broadcast) = "stats";
  return linen::scan(
      [layer](Scope& s, const Tensor& x) {
        return std::make_pair(s("layer", layer, x), std::tuple<>());
      },
      options);
}

TEST(LinenAnnotatedTransforms, S_150_S_151_mapped_and_other_collections) {
  const Tensor x = ones({4, 2, 3});
  const auto mapped = linen::vmap(Layer{}, batch(0, partition("batch")));
  const Variables made = linen::init(mapped, Key(0), x);
  EXPECT_EQ(spec(made, "params/kernel"), P("batch", "in", "out"));
  EXPECT_EQ(made["params"]["kernel"].shape(), (Shape{4, 3, 3}));
  EXPECT_EQ(spec(made, "stats/seen"), P("in")) << "a group without an axis is not edited";

  const auto layers = stacked({}, 0, partition("layers"));
  const Variables scanned = linen::init(layers, Key(0), ones({2, 3}));
  EXPECT_EQ(spec(scanned, "params/layer/kernel"), P("layers", "in", "out"));
  EXPECT_EQ(scanned["params"]["layer"]["kernel"].shape(), (Shape{5, 3, 3}));
  EXPECT_EQ(spec(scanned, "stats/layer/seen"), P("in")) << "nor is what is broadcast";
  const auto counting = stacked({.counts = true}, 0, partition("layers"));
  const Variables after =
      linen::apply_with({.mutate = {"stats"}}, counting, scanned, ones({2, 3})).second;
  EXPECT_EQ(spec(after, "stats/layer/seen"), P("in")) << "nor what is carried";
  EXPECT_EQ(after["stats"]["layer"]["seen"].value().to_vector<float>(), std::vector<float>(3, 5.f));
}

TEST(LinenAnnotatedTransforms, S_152_law_names_after_a_call_are_those_before) {
  const Tensor x = ones({4, 2, 3});
  for (const int64_t axis : {0, 1, 2, -1, -2, -3}) {
    const auto mapped = linen::vmap(Layer{}, batch(axis, partition("batch")));
    const Variables made = linen::init(mapped, Key(0), x);
    const auto [y, updates] = linen::apply_with({.mutate = true}, mapped, made, x);
    EXPECT_EQ(linen::get_partition_spec(updates), linen::get_partition_spec(made)) << axis;
    const auto layers = stacked({}, axis, partition("layers"));
    const Variables scanned = linen::init(layers, Key(0), ones({2, 3}));
    const Variables after =
        linen::apply_with({.mutate = true}, layers, scanned, ones({2, 3})).second;
    EXPECT_EQ(linen::get_partition_spec(after), linen::get_partition_spec(scanned)) << axis;
  }
}

TEST(LinenAnnotatedTransforms, S_153_negative_axes_agree_with_the_arrays) {
  const struct {
    int64_t axis;
    P names;
    Shape shape;
  } rows[] = {{-1, P("in", "out", "batch"), {3, 3, 4}},
              {-2, P("in", "batch", "out"), {3, 4, 3}},
              {-3, P("batch", "in", "out"), {4, 3, 3}}};
  for (const auto& row : rows) {
    const auto mapped = linen::vmap(Layer{}, batch(row.axis, partition("batch")));
    const Variables made = linen::init(mapped, Key(0), ones({4, 2, 3}));
    EXPECT_EQ(spec(made, "params/kernel"), row.names);
    EXPECT_EQ(made["params"]["kernel"].shape(), row.shape);
  }
}

TEST(LinenAnnotatedTransforms, S_154_a_name_is_needed_where_boxes_are) {
  const Tensor x = ones({4, 2, 3});
  expect_facts<PartitioningUnspecifiedError>(
      [&] { linen::init(linen::vmap(Layer{}, batch(0, {})), Key(0), x); },
      {"(in, out)", "partition_name", "metadata of the transformation"});
  expect_facts<PartitioningUnspecifiedError>(
      [&] {
        linen::init(stacked({}, 0, {}), Key(0), ones({2, 3}));
      },
      {"partition_name"});
  const Layer bare{.boxed = false};
  const Variables made = linen::init(linen::vmap(bare, batch(0, {})), Key(0), x);
  EXPECT_EQ(made["params"]["kernel"].shape(), (Shape{4, 3, 3}));
}

TEST(LinenAnnotatedTransforms, S_155_nested_transformations_add_names_in_order) {
  const auto block = linen::vmap(Layer{}, {.variable_axes = {{"params", 0}, {"stats", 0}},
                                           .split_rngs = {{"params", true}},
                                           .metadata_params = partition("batch")});
  const auto layers = linen::scan(
      [block](Scope& s, const Tensor& x) {
        return std::make_pair(s("block", block, x), std::tuple<>());
      },
      {.variable_axes = {{"params", 0}, {"stats", 0}},
       .split_rngs = {{"params", true}},
       .length = 5,
       .metadata_params = partition("layers")});
  const Variables made = linen::init(layers, Key(0), ones({4, 2, 3}));
  EXPECT_EQ(spec(made, "params/block/kernel"), P("layers", "batch", "in", "out"));
  EXPECT_EQ(made["params"]["block"]["kernel"].shape(), (Shape{5, 4, 3, 3}));
}

TEST(LinenAnnotatedTransforms, S_156_metadata_alone) {
  const auto annotated = linen::add_metadata_axis(Layer{}, {"params", 1}, partition("layers"));
  const Variables made = linen::init(annotated, Key(0), ones({2, 3}));
  EXPECT_EQ(spec(made, "params/kernel"), P("in", "layers", "out"));
  EXPECT_EQ(made["params"]["kernel"].shape(), (Shape{3, 3}));
  EXPECT_EQ(linen::apply(annotated, made, ones({2, 3})).shape(), (Shape{2, 3}));
}

TEST(LinenAnnotatedTransforms, S_157_other_transformations_leave_names_alone) {
  const Tensor x = ones({2, 3});
  const linen::Specs expected{{"params/kernel", P("in", "out")}, {"stats/seen", P("in")}};
  const auto check = [&](const auto& module, const char* what) {
    const Variables made = linen::init(module, Key(0), x);
    EXPECT_EQ(linen::get_partition_spec(made), expected) << what;
    const Variables after = linen::apply_with({.mutate = true}, module, made, x).second;
    EXPECT_EQ(linen::get_partition_spec(after), expected) << what;
  };
  check(Layer{}, "nothing");
  check(linen::remat(Layer{}), "remat");
  check(linen::jit(Layer{}), "jit");
  const auto loop = [](Scope& s, const Tensor& x) {
    if (s.is_initializing()) return Layer{}(s, x);
    return linen::while_loop_with(
        {.carry_variables = "stats", .broadcast_variables = "params"},
        [](Scope&, const Tensor& h) { return sum(h) < 0.f; },
        [](Scope& inner, const Tensor& h) { return Layer{}(inner, h); }, s, x);
  };
  check(loop, "while_loop");
  const auto branches = [](Scope& s, const Tensor& x) {
    if (s.is_initializing()) return Layer{}(s, x);
    return linen::cond(
        sum(x) > 0.f, [](Scope& inner, const Tensor& h) { return Layer{}(inner, h); },
        [](Scope& inner, const Tensor& h) { return Layer{}(inner, h) * 2; }, s, x);
  };
  check(branches, "cond");
}

}  // namespace
}  // namespace linnet::linen_partitioning_transforms_test
