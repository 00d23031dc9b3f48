// Transformations of modules inside each other.
#include "linnet/jit.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_nested_test {
namespace {

using nnx::kCarry;
using nnx::kNone;
using testing::Counter;
using testing::floats;
using testing::Noisy;

/// [members, layers, ...]: two stacks of three blocks.
Noisy stacks() {
  nnx::Rngs rngs = testing::noisy_rngs();
  const auto stack = nnx::vmap([](nnx::Rngs& r) { return Noisy(r); });
  return nnx::split_rngs({.splits = {2, 3}}, nnx::vmap(stack))(rngs);
}

Tensor through(Noisy& layers, const Tensor& x) {
  return nnx::scan([](const Tensor& h, Noisy& block) { return block(h); },
                   {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(x, layers);
}

/// The blocks of one stack after each other, without any transformation.
struct Expected {
  Tensor out;
  std::vector<float> running_mean, counts;
};
Expected by_hand(const Noisy& all, int64_t member, const Tensor& x) {
  Expected out{x, {}, {}};
  for (int64_t layer = 0; layer < 3; ++layer) {
    nnx::Rngs rngs(0);
    Noisy block(rngs);
    const nnx::State from = nnx::state(const_cast<Noisy&>(all)), to = nnx::state(block);
    for (const auto& [path, leaf] : to.entries())
      nnx::Variable(leaf.cell).set_raw_value(state::Value(from.find(path)->value()[member][layer]));
    out.out = block(out.out);
    for (float v : floats(block.norm.mean)) out.running_mean.push_back(v);
    out.counts.push_back(block.dropout.rngs->count().item<float>());
  }
  return out;
}

TEST(NnxTransforms, N_100_N_104_scan_under_vmap) {
  Noisy all = stacks();
  EXPECT_EQ(all.linear.kernel.shape(), (Shape{2, 3, 3, 3}));
  const Tensor x = random::normal(Key(2), {4, 3});
  const Expected first = by_hand(all, 0, x), second = by_hand(all, 1, x);
  Noisy compiled = nnx::clone(all);
  const auto run = [&x](Noisy& m) { return nnx::vmap(through, {.in_axes = {0, kNone}})(m, x); };
  const auto check = [&](Noisy& m, const Tensor& out) {
    testing::expect_golden(out, stack(TensorList{first.out, second.out}), 1e-5, "output");
    std::vector<float> means = first.running_mean;
    means.insert(means.end(), second.running_mean.begin(), second.running_mean.end());
    testing::expect_golden(m.norm.mean, from_vector(means, {2, 3, 3}), 1e-5, "running mean");
    EXPECT_EQ(m.dropout.rngs->count().astype(DType::kF32).to_vector<float>(),
              std::vector<float>(6, 1));
  };
  check(all, run(all));
  check(compiled, jit([&](Noisy& m) { return run(m); })(compiled));
}

TEST(NnxTransforms, N_100_N_104_vmap_under_scan) {
  // Layers of several heads: axis 0 layers, axis 1 heads.
  nnx::Param w(random::normal(Key(0), {3, 2, 4}));
  nnx::BatchStat sums(zeros({3, 2}));
  const Tensor x = ones({4});
  const auto head = [](nnx::Param& each, nnx::BatchStat& total, const Tensor& h) {
    const Tensor y = tanh(each.value() * h);
    total = sum(y);
    return y;
  };
  const auto layer = [&](const Tensor& h, nnx::Param& heads, nnx::BatchStat& totals) {
    return mean(nnx::vmap(head, {.in_axes = {0, 0, kNone}})(heads, totals, h), Axes{0});
  };
  const auto run = [&](nnx::Param& weights) {
    return nnx::scan(layer, {.in_axes = {kCarry, 0, 0}, .out_axes = {kCarry}})(x, weights, sums);
  };
  Tensor h = x;
  std::vector<float> totals;
  for (int64_t k = 0; k < 3; ++k) {
    const Tensor y = tanh(w.value()[k] * h);
    for (float v : floats(sum(y, Axes{1}))) totals.push_back(v);
    h = mean(y, Axes{0});
  }
  testing::expect_golden(run(w), h, 1e-6, "output");
  testing::expect_golden(sums, from_vector(totals, {3, 2}), 1e-6, "sums");
}

TEST(NnxTransforms, N_094_N_104_second_derivatives_through_a_scan) {
  nnx::Param w(from_vector(std::vector<float>{0.5f, -0.25f, 0.75f}, {3}));
  const auto run = [](const Tensor& x, nnx::Param& each) { return sin(each.value() * x); };
  const auto loss = [&](nnx::Param& p, const Tensor& x) {
    return nnx::scan(run, {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(x, p);
  };
  const auto slope = [&](nnx::Param& p, const Tensor& x) { return nnx::grad<1>(loss)(p, x); };
  const Tensor x = scalar(0.6, DType::kF32);
  const Tensor second = nnx::grad<1>(slope)(w, x);
  const auto by_hand = [&](const Tensor& at) {
    Tensor y = at;
    for (int64_t k = 0; k < 3; ++k) y = sin(w.value()[k] * y);
    return y;
  };
  EXPECT_NEAR(second.item<float>(), grad(grad(by_hand))(x).item<float>(), 1e-5);
  // Forward over reverse.
  const auto [first, tangent] = nnx::jvp(slope, std::tuple<nnx::Param&, Tensor>(w, x),
                                         std::tuple(zeros({3}), scalar(1, DType::kF32)));
  EXPECT_NEAR(tangent.item<float>(), second.item<float>(), 1e-5);
  EXPECT_NEAR(first.item<float>(), grad(by_hand)(x).item<float>(), 1e-6);
}

TEST(NnxTransforms, N_108_N_109_branches_in_loops_in_batches) {
  // A counter that counts only positive inputs, for a batch of sequences.
  nnx::Rngs rngs(0);
  Counter one(rngs);
  nnx::BatchStat counts(zeros({2}));
  const auto step = [](nnx::BatchStat& count, const Tensor& x) {
    return nnx::cond(
        x > 0,
        [](nnx::BatchStat& c, const Tensor& v) {
          c = c.value() + 1;
          return v * 2;
        },
        [](nnx::BatchStat&, const Tensor& v) { return v; }, count, x);
  };
  const nnx::StateAxes carried{{nnx::everything(), kCarry}};
  const auto sequence = [&](nnx::BatchStat& count, const Tensor& xs) {
    return nnx::scan(step, {.in_axes = {carried, 0}, .out_axes = {0}})(count, xs);
  };
  const Tensor xs = from_vector(std::vector<float>{1, -1, 2, -3, 4, 5}, {2, 3});
  const Tensor ys = nnx::vmap(sequence)(counts, xs);
  EXPECT_EQ(floats(ys), (std::vector<float>{2, -1, 4, -3, 8, 10}));
  EXPECT_EQ(floats(counts), (std::vector<float>{2, 2}));
}

TEST(NnxTransforms, N_099_N_100_remat_under_vmap_under_grad) {
  Noisy all = stacks();
  const Tensor x = random::normal(Key(2), {4, 3});
  const auto layers = [](Noisy& m, const Tensor& input) {
    const auto block = nnx::remat([](const Tensor& h, Noisy& one) { return one(h); });
    return nnx::scan(block, {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(input, m);
  };
  const auto loss = [&](auto function) {
    return [&x, function](Noisy& m) {
      return mean(square(nnx::vmap(function, {.in_axes = {0, kNone}})(m, x)));
    };
  };
  Noisy plain = nnx::clone(all);
  const nnx::State with = nnx::grad(loss(layers), all), without = nnx::grad(loss(through), plain);
  ASSERT_EQ(with.size(), without.size());
  for (const auto& [path, leaf] : with.entries())
    testing::expect_golden(leaf.value(), without.find(path)->value(), 1e-6, tree::to_string(path));
  testing::expect_golden(all.norm.mean, plain.norm.mean, 1e-6, "running mean");
  EXPECT_EQ(all.dropout.rngs->count().to_vector<uint32_t>(), std::vector<uint32_t>(6, 1));
}

}  // namespace
}  // namespace linnet::nnx_transforms_nested_test
