// A compiled step asks the heap for nothing once it is warm: what a call needs is kept by its
// thread, and the memory of results comes from pools.
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "linnet/linnet.h"
#include "tests/failures/allocation_hook.h"

namespace linnet {
namespace {

struct Mlp {
  nnx::Linear up, down;
  Mlp(nnx::RngsRef rngs) : up(8, 16, rngs), down(16, 4, rngs) {}
  Tensor operator()(const Tensor& x) const { return down(tanh(up(x))); }
  LINNET_FIELDS(up, down)
};

int64_t page_faults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Allocations and page faults of a call, after some.
template <class F>
std::pair<int64_t, int64_t> of_a_warm_call(const F& call) {
  for (int i = 0; i < 20; ++i) call();
  const int64_t faults = page_faults();
  const testing::CountedAllocations counted;
  for (int i = 0; i < 10; ++i) call();
  return {testing::CountedAllocations::count(), page_faults() - faults};
}

TEST(StepAllocations, a_warm_compiled_call_needs_none) {
  const std::pair<int64_t, int64_t> none{0, 0};
  const Tensor x = ones({2, 8});
  const auto add = jit([](const Tensor& v) { return v + v; });
  EXPECT_EQ(of_a_warm_call([&] { add(x); }), none) << "a tensor";
  const auto pair = jit([](const Tensor& v) { return std::pair{v + v, v * v}; });
  EXPECT_EQ(of_a_warm_call([&] { pair(x); }), none) << "two results";

  std::vector<Tensor> leaves(600);
  for (Tensor& leaf : leaves) leaf = zeros({3});
  const auto decay = jit([](std::vector<Tensor>& list) {
    for (Tensor& leaf : list) leaf = leaf + 1;
  });
  EXPECT_EQ(of_a_warm_call([&] { decay(leaves); }), none) << "600 leaves that are replaced";
  EXPECT_EQ(leaves[599].to_vector<float>()[0], 30);

  nnx::Rngs rngs(0);
  Mlp model(rngs);
  optim::Optimizer optimizer(model, optim::adam(1e-3));
  const auto step = jit([](Mlp& m, optim::Optimizer& o, const Tensor& input) {
    auto [loss, grads] =
        nnx::value_and_grad([&](const Mlp& now) { return mean(square(now(input))); })(m);
    o.update(m, grads);
    return loss;
  });
  EXPECT_EQ(of_a_warm_call([&] { step(model, optimizer, x); }), none) << "a training step";

  const auto captured = jit([&model](const Tensor& input) {
    model.up.bias.value() = model.up.bias->value() * 0.5;
    return model(input);
  });
  EXPECT_EQ(of_a_warm_call([&] { captured(x); }), none) << "captured variables";
}

TEST(StepAllocations, leaves_that_are_one_and_the_same) {
  const auto step = jit([](Tensor& a, Tensor& b, const Tensor& c) {
    a = a + 1;
    b = b * 2;
    return a + b + c;
  });
  for (int i = 0; i < 3; ++i) {
    Tensor one = full({64}, 3.f), two = one;
    EXPECT_EQ(step(one, two, one).to_vector<float>()[5], 4 + 6 + 3);
    EXPECT_EQ(two.to_vector<float>()[5], 6);
    Tensor same = full({64}, 3.f);
    const Tensor held = same;
    step(same, same, same);
    EXPECT_EQ(same.to_vector<float>()[5], 8) << "both writes, in order";
    EXPECT_EQ(held.to_vector<float>()[5], 3) << "what a caller holds does not change";
  }
}

}  // namespace
}  // namespace linnet
