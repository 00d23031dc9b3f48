// Wrapped functional modules under the object transformations: variables stacked and written back,
// streams split, metadata with and without the axis.
#include "bridge/bridge_modules.h"
#include "linnet/jit.h"

namespace linnet::bridge_tests::nnx_transforms_test {
namespace {

using bridge::ToNNX;
using nnx::kCarry;
using nnx::kNone;

/// Functional: statistics and dropout beside parameters.
struct FunctionalBlock {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = s("dense", linen::Dense{.features = x.shape(-1)}, x);
    h = s("norm", linen::BatchNorm{.use_running_average = false}, h);
    return tanh(s("dropout", linen::Dropout{.rate = 0.5, .deterministic = false}, h));
  }
};
using Block = ToNNX<FunctionalBlock>;

Tensor run(Block& block, const Tensor& x) { return block.call({.mutate = {"batch_stats"}}, x); }

Block stacked_blocks(const Tensor& x) {
  nnx::Rngs rngs = two_streams();
  const auto make = nnx::vmap(
      [](nnx::Rngs& r, const Tensor& input) {
        Block block(FunctionalBlock{}, r);
        block.lazy_init(input);
        return block;
      },
      {.in_axes = {0, kNone}});
  return nnx::split_rngs({.splits = 3}, make)(rngs, x);
}

/// One of the stacked blocks alone.
Block block_at(Block& stacked, int64_t index, const Tensor& x) {
  nnx::Rngs rngs = two_streams();
  Block block(FunctionalBlock{}, rngs);
  block.lazy_init(x);
  const nnx::State from = nnx::state(stacked), to = nnx::state(block);
  for (const auto& [path, leaf] : to.entries())
    nnx::Variable(leaf.cell).set_raw_value(state::Value(from.find(path)->value()[index]));
  return block;
}

TEST(BridgeNnxTransforms, B_052_constructors_under_nnx_vmap) {
  nnx::Rngs rngs(0);
  const auto make = nnx::vmap(
      [](nnx::Rngs& r, const Tensor& x) {
        ToNNX model(linen::Dense{.features = 3}, r);
        model.lazy_init(x);
        return model;
      },
      {.in_axes = {0, kNone}});
  ToNNX<linen::Dense> models = nnx::split_rngs({.splits = 5}, make)(rngs, ones({2, 4}));
  EXPECT_EQ(models["kernel"].shape(), Shape({5, 4, 3}));
  EXPECT_EQ(models["bias"].shape(), Shape({5, 3}));
  const Tensor y = nnx::vmap([](ToNNX<linen::Dense>& m, const Tensor& x) { return m(x); },
                             {.in_axes = {0, kNone}})(models, ones({2, 4}));
  EXPECT_EQ(y.shape(), Shape({5, 2, 3}));
  expect_near(y[3], sum(Tensor(models["kernel"])[3], Axes{0}) + zeros({2, 3}));
}

TEST(BridgeNnxTransforms, B_193_wrapped_blocks_stacked_by_vmap_and_scan) {
  const Tensor x = normal({6, 4});
  Block blocks = stacked_blocks(x);
  EXPECT_EQ(blocks["dense"]["kernel"].shape(), Shape({3, 4, 4}));
  EXPECT_EQ(blocks["norm"]["mean"].shape(), Shape({3, 4}));
  Tensor expected = x;
  std::vector<Tensor> means;
  for (int64_t k = 0; k < 3; ++k) {
    Block block = block_at(blocks, k, x);
    expected = run(block, expected);
    means.push_back(block["norm"]["mean"]);
  }
  const auto through = [&](Block& b) {
    return nnx::scan([](const Tensor& h, Block& block) { return run(block, h); },
                     {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(x, b);
  };
  Block compiled = nnx::clone(blocks), differentiated = nnx::clone(blocks);
  expect_near(through(blocks), expected);
  expect_near(blocks["norm"]["mean"], stack(TensorList(means.begin(), means.end())));
  expect_near(jit([&](Block& b) { return through(b); })(compiled), expected);
  expect_near(compiled["norm"]["mean"], blocks["norm"]["mean"]);
  const nnx::State gradients =
      nnx::grad([&](Block& b) { return mean(square(through(b))); }, differentiated);
  EXPECT_EQ(gradients["dense"]["kernel"].shape(), Shape({3, 4, 4}));
  EXPECT_GT(sum(abs(gradients["dense"]["kernel"].value())).item<float>(), 0.f);
  expect_near(differentiated["norm"]["mean"], blocks["norm"]["mean"]);
}

TEST(BridgeNnxTransforms, B_144_S_188_metadata_with_and_without_the_axis) {
  const Metadata layers{{"partition_name", "layers"}, {"nickname", "nick"}};
  const Metadata names{{"out_sharding", AxisNames{"din", "dout"}},
                       {"nickname", AxisNames{"in", "out"}}};
  nnx::Rngs rngs(0);
  const auto make = nnx::vmap(
      [&](nnx::Rngs& r) {
        return nnx::Param(random::normal(r(), {2, 3}), names);
      },
      {.transform_metadata = layers});
  nnx::Param w = nnx::split_rngs({.splits = 4}, make)(rngs);
  const auto tuple = [](const nnx::Param& p, const char* key) {
    return *p.metadata().get<AxisNames>(key);
  };
  EXPECT_EQ(tuple(w, "out_sharding"), (AxisNames{"layers", "din", "dout"}));
  EXPECT_EQ(tuple(w, "nickname"), (AxisNames{"nick", "in", "out"}));
  nnx::scan(
      [&](const Tensor& x, nnx::Param& each) {
        EXPECT_EQ(tuple(each, "out_sharding"), (AxisNames{"din", "dout"}));
        EXPECT_EQ(tuple(each, "nickname"), (AxisNames{"in", "out"}));
        each = each.value() + x;
        return x + 1;
      },
      {.in_axes = {kCarry, 0}, .out_axes = {kCarry}, .transform_metadata = layers})(zeros({}), w);
  EXPECT_EQ(tuple(w, "out_sharding"), (AxisNames{"layers", "din", "dout"}));
  EXPECT_EQ(tuple(w, "nickname"), (AxisNames{"nick", "in", "out"}));
}

TEST(BridgeNnxTransforms, wrapped_modules_in_loops_branches_and_remat) {
  const Tensor x = normal({6, 4});
  nnx::Rngs rngs = two_streams();
  Block block(FunctionalBlock{}, rngs);
  block.lazy_init(x);
  Block other = nnx::clone(block), third = nnx::clone(block);
  const Tensor twice = run(block, run(block, x));
  const Tensor looped = nnx::fori_loop(
      0, 2, [&](const Tensor&, const Tensor& h) { return run(other, h); }, x);
  expect_near(looped, twice);
  expect_near(other["norm"]["mean"], block["norm"]["mean"]);
  const auto call = nnx::remat([](Block& b, const Tensor& h) { return run(b, h); });
  const auto stay = [](Block&, const Tensor& h) { return h; };
  const Tensor taken = nnx::cond(
      sum(x) < 1e9, [&](Block& b, const Tensor& h) { return call(b, call(b, h)); }, stay, third, x);
  expect_near(taken, twice);
  expect_near(third["norm"]["mean"], block["norm"]["mean"]);
}

}  // namespace
}  // namespace linnet::bridge_tests::nnx_transforms_test
