// A model as a table of its modules.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"

namespace linnet::nnx_tabulate_test {
namespace {

struct Block {
  nnx::Linear linear;
  nnx::BatchNorm bn;
  nnx::Dropout dropout;
  Block(int64_t in, int64_t out, nnx::Rngs& rngs)
      : linear(in, out, rngs), bn(out, rngs), dropout(0.2, rngs) {}
  LINNET_FIELDS(linear, bn, dropout)
  Tensor operator()(const Tensor& x) { return relu(dropout(bn(linear(x)))); }
};
struct Foo {
  Block block1, block2;
  explicit Foo(nnx::Rngs& rngs) : block1(32, 128, rngs), block2(128, 10, rngs) {}
  LINNET_FIELDS(block1, block2)
  Tensor operator()(const Tensor& x) { return block2(block1(x)); }
};
Foo make() {
  nnx::Rngs rngs(0);
  return Foo(rngs);
}

const nnx::ModuleRow& row(const nnx::ModuleTable& table, const std::string& path) {
  for (const nnx::ModuleRow& found : table.rows) {
    if (tree::to_string(found.path) == path) return found;
  }
  static const nnx::ModuleRow none;
  ADD_FAILURE() << "no row '" << path << "'";
  return none;
}
using Texts = std::vector<std::string>;
using Count = nnx::ModuleRow::Count;
const auto call = [](auto& m, const auto&... args) { return m(args...); };

// Numbers of the example in Flax's documentation; a key is two numbers here.
TEST(NnxTabulate, N_147_modules_with_what_they_take_and_give) {
  const Foo model = make();
  const nnx::ModuleTable table = nnx::module_table({}, model, call, ones({1, 32}));
  std::string order;
  for (const nnx::ModuleRow& each : table.rows)
    order += tree::to_string(each.path) + ":" + each.type + " ";
  EXPECT_EQ(order,
            ":Foo block1:Block block1/linear:Linear block1/bn:BatchNorm block1/dropout:Dropout "
            "block2:Block block2/linear:Linear block2/bn:BatchNorm block2/dropout:Dropout ")
      << "random streams are no rows";
  EXPECT_EQ(row(table, "").inputs, Texts{"f32[1,32]"});
  EXPECT_EQ(row(table, "").outputs, Texts{"f32[1,10]"});
  EXPECT_EQ(row(table, "block1").inputs, Texts{"f32[1,32]"});
  EXPECT_EQ(row(table, "block1").outputs, Texts{"f32[1,128]"});
  EXPECT_EQ(row(table, "block1/linear").inputs, Texts{"f32[1,32]"});
  EXPECT_EQ(row(table, "block1/linear").outputs, Texts{"f32[1,128]"});
  EXPECT_EQ(row(table, "block2/bn").inputs, Texts{"f32[1,10]"});
  EXPECT_EQ(row(table, "block2/bn").outputs, Texts{"f32[1,10]"});
  EXPECT_EQ(row(table, "").counts.at("Param"), (Count{5790, 23160}));
  EXPECT_EQ(row(table, "").counts.at("BatchStat"), (Count{276, 1104}));
  EXPECT_EQ(row(table, "").counts.at("RngState"), (Count{6, 24}));
  EXPECT_EQ(row(table, "block1").counts.at("Param"), (Count{4480, 17920}));
  EXPECT_EQ(row(table, "block1/linear").variables.at("Param"),
            (Texts{"bias: f32[128]", "kernel: f32[32,128]"}));
  EXPECT_TRUE(row(table, "block1").variables.empty()) << "listed where they are";
}

TEST(NnxTabulate, N_147_text) {
  const Foo model = make();
  const auto lines = nnx::state(const_cast<Foo&>(model)).size();
  const std::string text = nnx::tabulate(model, ones({1, 32}));
  const std::string begin =
      "Foo Summary\n"
      "  path            type       inputs      outputs     BatchStat       Param                "
      "RngState\n"
      "                  Foo        f32[1,32]   f32[1,10]   276 (1.1 KB)    5,790 (23.2 KB)      "
      "6 (24 B)\n"
      "  block1          Block      f32[1,32]   f32[1,128]  256 (1.0 KB)    4,480 (17.9 KB)      "
      "3 (12 B)\n"
      "  block1/linear   Linear     f32[1,32]   f32[1,128]                  bias: f32[128]\n"
      "                                                                     kernel: f32[32,128]\n"
      "                                                                     4,224 (16.9 KB)\n"
      "  block1/bn       BatchNorm  f32[1,128]  f32[1,128]  mean: f32[128]  bias: f32[128]\n";
  EXPECT_EQ(text.substr(0, begin.size()), begin) << text;
  const std::string end =
      "                                         Total       276 (1.1 KB)    5,790 (23.2 KB)      "
      "6 (24 B)\n"
      "Total Parameters: 6,072 (24.3 KB)\n";
  EXPECT_TRUE(text.ends_with(end)) << text;
  EXPECT_EQ(nnx::state(const_cast<Foo&>(model)).size(), lines);
}

TEST(NnxTabulate, N_147_the_model_is_not_changed_and_abstract_inputs_do) {
  Foo model = make();
  const auto mean = model.block1.bn.mean.value().to_vector<float>();
  const std::string text = nnx::tabulate(model, ones({4, 32}));
  EXPECT_EQ(model.block1.bn.mean.value().to_vector<float>(), mean);
  EXPECT_EQ(model.block1.dropout.rngs->count().item<int>(), 0);
  EXPECT_EQ(nnx::tabulate(model, abstract({DType::kF32, {4, 32}, false, default_device()})), text);
  // Variables alone, and an abstract model.
  nnx::Rngs rngs(0);
  const Foo shapes = nnx::eval_shape([](nnx::Rngs& r) { return Foo(r); }, rngs);
  EXPECT_EQ(nnx::tabulate(shapes, ones({4, 32})), text);
  EXPECT_NE(nnx::tabulate(model).find("kernel: f32[32,128]"), std::string::npos);
}

TEST(NnxTabulate, N_147_depth_and_other_methods) {
  const Foo model = make();
  const nnx::ModuleTable table = nnx::module_table({.depth = 1}, model, call, ones({1, 32}));
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(row(table, "block2").counts.at("Param"), (Count{1310, 5240}));
  EXPECT_EQ(row(table, "block2").variables.at("Param"),
            (Texts{"bn/bias: f32[10]", "bn/scale: f32[10]", "linear/bias: f32[10]",
                   "linear/kernel: f32[128,10]"}))
      << "what is below counts to the last row";
  EXPECT_EQ(nnx::tabulate_with({.depth = 0}, model, ones({1, 32})).find("block1:"),
            std::string::npos);
  const nnx::ModuleTable encoded = nnx::module_table(
      {}, model, [](Foo& m, const Tensor& x) { return m.block1(x); }, ones({3, 32}));
  EXPECT_EQ(row(encoded, "").outputs, Texts{"f32[3,128]"});
  EXPECT_TRUE(row(encoded, "block2/linear").outputs.empty()) << "not called";
}

struct Tied {
  nnx::Shared<nnx::Linear> first, second;
  std::optional<nnx::Intermediate> kept;
  explicit Tied(nnx::Rngs& rngs)
      : first(nnx::Shared<nnx::Linear>::make(3, 3, rngs)), second(first) {}
  LINNET_FIELDS(first, second, kept)
  std::pair<Tensor, Tensor> operator()(const Tensor& x, const Tensor& y) {
    const Tensor h = tanh((*first)(x + y));
    nnx::sow(kept, h);
    return {(*second)(h), h};
  }
};

TEST(NnxTabulate, N_147_shared_modules_once_and_several_arguments_and_results) {
  nnx::Rngs rngs(0);
  const Tied model(rngs);
  const nnx::ModuleTable table =
      nnx::module_table({}, model, call, ones({2, 3}), ones({3}, DType::kI32));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(row(table, "").inputs, (Texts{"f32[2,3]", "i32[3]"}));
  EXPECT_EQ(row(table, "").outputs, (Texts{"f32[2,3]", "f32[2,3]"}));
  EXPECT_EQ(row(table, "").counts.at("Param"), (Count{12, 48}));
  EXPECT_EQ(row(table, "first").inputs, Texts{"f32[2,3]"});
  EXPECT_EQ(row(table, "first").outputs, Texts{"f32[2,3]"}) << "of its first call";
  EXPECT_FALSE(model.kept);
  // A part of a model that has been walked from outside has its own paths.
  struct Outer {
    Foo foo;
    LINNET_FIELDS(foo)
  };
  Outer outer{make()};
  nnx::state(outer);
  const nnx::ModuleTable part = nnx::module_table({}, outer.foo, call, ones({1, 32}));
  EXPECT_EQ(row(part, "block1/linear").outputs, Texts{"f32[1,128]"});
}

TEST(NnxTabulate, N_147_floating_point_operations) {
  struct Net {
    nnx::Linear up, down;
    LINNET_FIELDS(up, down)
    Tensor operator()(const Tensor& x) const { return down(relu(up(x))); }
  };
  nnx::Rngs rngs(0);
  const Net model{nnx::Linear(9, 4, rngs), nnx::Linear(4, 2, {.use_bias = false}, rngs)};
  const nnx::ModuleTable table = nnx::module_table(
      {.compute_flops = true, .compute_vjp_flops = true}, model, call, ones({16, 9}));
  const int64_t up = 2 * 16 * 9 * 4 + 16 * 4, down = 2 * 16 * 4 * 2;
  EXPECT_EQ(row(table, "up").flops, up) << "a product, and a bias";
  EXPECT_EQ(row(table, "down").flops, down);
  EXPECT_EQ(row(table, "").flops, up + down + 16 * 4) << "and the activation between them";
  EXPECT_EQ(row(table, "down").vjp_flops, 3 * down) << "a product for each cotangent";
  EXPECT_GE(*row(table, "up").vjp_flops, 3 * 2 * 16 * 9 * 4);
  EXPECT_NE(nnx::to_string(table).find("vjp_flops"), std::string::npos);
  EXPECT_FALSE(row(nnx::module_table({}, model, call, ones({16, 9})), "up").flops);
}

}  // namespace
}  // namespace linnet::nnx_tabulate_test
