// A compiled step asks the heap for nothing once it is warm: what a call needs is kept by its
// thread, and the memory of results comes from pools.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <map>

#include "linnet/core.h"
#include "tests/failures/allocation_hook.h"

namespace linnet::step_allocations_test {
namespace {

struct Parameters {
  std::map<std::string, Tensor> weights;
  std::vector<Tensor> moments;
  Tensor steps;
  LINNET_FIELDS(weights, moments, steps)
};

int64_t page_faults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Allocations and page faults of ten calls, after some. The system may take pages away at any
/// time, so that faults count which come again.
template <class F>
std::pair<int64_t, int64_t> of_a_warm_call(const F& call) {
  for (int i = 0; i < 20; ++i) call();
  int64_t allocations = 0, least = std::numeric_limits<int64_t>::max();
  for (int attempt = 0; attempt < 5 && least > 0; ++attempt) {
    const int64_t faults = page_faults();
    const testing::CountedAllocations counted;
    for (int i = 0; i < 10; ++i) call();
    allocations += testing::CountedAllocations::count();
    least = std::min(least, page_faults() - faults);
  }
  return {allocations, least};
}

TEST(StepAllocations, a_warm_compiled_call_needs_none) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "freed blocks are not kept, so that the sanitizer sees them";
#endif
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
  EXPECT_GE(leaves[599].to_vector<float>()[0], 30);
  EXPECT_EQ(leaves[599].to_vector<float>(), leaves[0].to_vector<float>());

  Parameters state{
      {{"up", ones({8, 16})}, {"down", ones({16, 4})}}, {zeros({16, 4}), zeros({8, 16})}, 0};
  const auto loss = [](const std::map<std::string, Tensor>& w, const Tensor& input) {
    return mean(square(matmul(tanh(matmul(input, w.at("up"))), w.at("down"))));
  };
  const auto step = jit([loss](Parameters& s, const Tensor& input) {
    const auto [value, slopes] = value_and_grad(loss)(s.weights, input);
    size_t i = 0;
    for (auto& [name, weight] : s.weights) {
      Tensor& moment = s.moments[i++];
      moment = 0.9 * moment + slopes.at(name);
      weight = weight - 0.01 * moment;
    }
    s.steps = s.steps + 1;
    return std::tuple{value, s.steps};
  });
  EXPECT_EQ(of_a_warm_call([&] { step(state, x); }), none) << "a training step";

  const state::CellPtr cell = state::make_cell(state::Value(ones({2, 8})));
  const auto captured = jit([&cell](const Tensor& input) {
    state::write(cell, state::read(cell).tensors[0] * 0.5);
    return state::read(cell).tensors[0] + input;
  });
  EXPECT_EQ(of_a_warm_call([&] { captured(x); }), none) << "a captured variable";
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
}  // namespace linnet::step_allocations_test
