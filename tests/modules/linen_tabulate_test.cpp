// Tables of modules.
#include "linnet/linen/tabulate.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/linen/method.h"

namespace linnet::linen_tabulate_test {
namespace {

using linen::Scope;

Tensor type(const Shape& shape, DType dtype = DType::kF32) {
  return abstract({dtype, shape, false, default_device()});
}

struct Foo {
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = s(linen::Dense{.features = 4}, x);
    return s(linen::Dense{.features = 2}, h);
  }
};

TEST(LinenTabulate, L_164_modules_shapes_and_sizes) {
  // The numbers of the example of flax.linen.tabulate.
  EXPECT_EQ(linen::tabulate(Foo{}, Key(0), type({16, 9})),
            "Foo Summary\n"
            "  path     module  inputs     outputs    params\n"
            "           Foo     f32[16,9]  f32[16,2]\n"
            "  Dense_0  Dense   f32[16,9]  f32[16,4]  bias: f32[4]\n"
            "                                         kernel: f32[9,4]\n"
            "                                         40 (160 B)\n"
            "  Dense_1  Dense   f32[16,4]  f32[16,2]  bias: f32[2]\n"
            "                                         kernel: f32[4,2]\n"
            "                                         10 (40 B)\n"
            "                              Total      50 (200 B)\n"
            "Total Parameters: 50 (200 B)\n");
}

TEST(LinenTabulate, L_164_operations) {
  const linen::ModuleTable table = linen::module_table(
      {.compute_flops = true, .compute_vjp_flops = true}, Foo{}, Key(0), type({16, 9}));
  ASSERT_EQ(table.rows.size(), 3u);
  // Forward as XLA counts them: products and sums, and one for each bias.
  EXPECT_EQ(table.rows[0].flops, 1504);
  EXPECT_EQ(table.rows[1].flops, 1216);
  EXPECT_EQ(table.rows[2].flops, 288);
  // Two more products, and the sums of cotangents over the batch: 3620 and 840 in XLA, which
  // counts what it makes of them.
  EXPECT_EQ(table.rows[1].vjp_flops, 1216 + 2 * 1152 + 64);
  EXPECT_EQ(table.rows[2].vjp_flops, 288 + 2 * 256 + 32);
  EXPECT_NEAR(static_cast<double>(*table.rows[0].vjp_flops), 4460, 100);
  const std::string text = to_string(table);
  EXPECT_NE(text.find("flops  vjp_flops  params"), std::string::npos) << text;
  EXPECT_NE(text.find("1,504"), std::string::npos) << text;
}

/// A block with statistics, called twice, and a method.
struct Block {
  Tensor pooled(Scope&, const Tensor& x) const { return mean(x, Axes{0}); }
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    const Tensor h = s("conv", linen::Conv{.features = 3, .kernel = {3, 3}}, x);
    return s("norm", linen::BatchNorm{}, h, !train);
  }
};
struct Net {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    Scope block = s.child("block");
    Tensor h = Scope::call(block, Block{}, x, train);
    h = Scope::call(block, Block{}, h, train);
    const Tensor p = Scope::call(block, linen::method<&Block::pooled>(Block{}), h);
    return p + s.param("shift", init::zeros(), {3}, DType::kBF16);
  }
};

TEST(LinenTabulate, L_164_shared_modules_count_once_and_collections_have_columns) {
  const Tensor x = type({2, 8, 8, 3});
  const linen::ModuleTable table = linen::module_table({}, Net{}, Key(0), x, true);
  EXPECT_EQ(table.collections, (std::vector<std::string>{"batch_stats", "params"}));
  std::vector<std::string> names;
  int64_t params = 0, bytes = 0;
  for (const linen::TableRow& row : table.rows) {
    names.push_back(tree::to_string(row.path) + ":" + row.class_name);
    params += row.size_and_bytes("params").first;
    bytes += row.size_and_bytes("params").second;
  }
  EXPECT_EQ(names, (std::vector<std::string>{":Net", "block:Block", "block/conv:Conv",
                                             "block/norm:BatchNorm"}));
  EXPECT_EQ(params, 3 * 3 * 3 * 3 + 3 + 3 + 3 + 3);
  EXPECT_EQ(bytes, 4 * (81 + 9) + 2 * 3) << "three of them have two bytes";
  EXPECT_EQ(table.rows[0].inputs, (std::vector<std::string>{"f32[2,8,8,3]", "true"}));
  EXPECT_EQ(table.rows[0].size_and_bytes("params").first, 3) << "of the module itself";
  EXPECT_EQ(table.rows[3].size_and_bytes("batch_stats"), (std::pair<int64_t, int64_t>{6, 24}));
  // Repeated calls have rows of their own, whose variables are not counted again.
  const linen::ModuleTable all =
      linen::module_table({.show_repeated = true}, Net{}, Key(0), x, true);
  EXPECT_EQ(all.rows.size(), 8u);
  EXPECT_EQ(all.rows.back().method, "pooled");
  EXPECT_EQ(all.rows[4].size_and_bytes("params").first, 0);
  EXPECT_NE(to_string(all).find("Block (pooled)"), std::string::npos);
}

TEST(LinenTabulate, L_058_classes_by_path) {
  using Path = std::vector<std::string>;
  const std::map<Path, std::string> expected{{{}, "Net"},
                                             {{"block"}, "Block"},
                                             {{"block", "conv"}, "Conv"},
                                             {{"block", "norm"}, "BatchNorm"}};
  EXPECT_EQ(linen::module_paths(Net{}, Key(0), type({2, 8, 8, 3}), true), expected);
}

TEST(LinenTabulate, L_164_depth_sums_up_what_is_below) {
  const linen::ModuleTable table =
      linen::module_table({.depth = 1}, Net{}, Key(0), type({2, 8, 8, 3}), false);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[1].size_and_bytes("params").first, 81 + 9);
  EXPECT_TRUE(table.rows[1].variables["params"].empty()) << "none of its own";
  EXPECT_NE(to_string(table).find("93 (366 B)"), std::string::npos) << to_string(table);
}

TEST(LinenTabulate, L_164_nothing_is_computed_and_transformations_are_looked_into) {
  // 2^40 rows: more than any memory.
  const std::string large = linen::tabulate(Foo{}, Key(0), type({int64_t{1} << 40, 9}));
  EXPECT_NE(large.find("f32[1099511627776,4]"), std::string::npos) << large;
  const auto model = [](Scope& s, const Tensor& x) {
    return s("layers",
             linen::scan(
                 [](Scope& t, const Tensor& h) {
                   return std::make_pair(t("dense", linen::Dense{.features = 4}, h), Tensor(0.f));
                 },
                 {.variable_axes = {{"params", 0}}, .split_rngs = {{"params", true}}, .length = 3}),
             x)
        .first;
  };
  const linen::ModuleTable table =
      linen::module_table({.compute_flops = true}, model, Key(0), type({2, 4}));
  const int64_t turn = 2 * 2 * 4 * 4 + 8;
  EXPECT_EQ(table.rows[0].flops, 3 * turn) << "of all turns";
  EXPECT_EQ(table.rows.back().path, (std::vector<std::string>{"layers", "dense"}));
  EXPECT_EQ(table.rows.back().flops, turn) << "of one";
  EXPECT_EQ(table.rows.back().size_and_bytes("params").first, 3 * (16 + 4));
}

}  // namespace
}  // namespace linnet::linen_tabulate_test
