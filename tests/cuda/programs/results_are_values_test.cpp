// Results of compiled programs are values: whatever runs later, in whatever order the driver does
// what it may, they stay what they were. Programs run three times with all results kept, with
// memory that is free in between filled with NaN, as lists of launches and as graphs.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <thread>

#include "cuda/fake_driver/fake_driver.h"
#include "cuda/programs/training_step.h"
#include "linnet/cuda.h"
#include "linnet/precision.h"

namespace linnet::testing::results_are_values_test {
namespace {

using Values = std::vector<std::vector<float>>;
using fake_cuda::functions;

constexpr const char* kPolicies[] = {"oldest", "newest", "turns", "random:5"};
constexpr int kRuns = 3;

/// Fills whatever the allocator has at hand.
void poison_free_memory() {
  TensorList all;
  for (int64_t bytes = 512; bytes <= 1 << 16; bytes += std::max<int64_t>(512, bytes / 8))
    for (int i = 0; i < 2; ++i)
      all.push_back(full({bytes / 4}, std::numeric_limits<float>::quiet_NaN()));
}

Tensor batch(int run) { return ramp_on(kGpu, {32, 8}, -1. - run, 1. + 0.5 * run); }

/// Values and views, of several kernels.
TensorList forward(const TensorList& x) {
  const Tensor y = softmax(x[0] * 2 + 1, -1);
  const Tensor z = matmul(transpose(y), exp(x[0]));
  return {y, sum(z, {0}), transpose(z), cumsum(y, 0), x[0]};
}

/// One that keeps all results of calls that give and take nothing else.
Values kept_results_of_functions() {
  const auto compiled = jit([](const TensorList& x) { return forward(x); });
  TensorList kept;
  for (int run = 0; run < kRuns; ++run) {
    for (const Tensor& y : compiled(TensorList{batch(run)})) kept.push_back(y);
    poison_free_memory();
  }
  return values_of(kept);
}

/// One that keeps the state after every step although each takes the one before.
Values kept_states_of_steps() {
  const auto compiled = jit([](TrainingState& s, const Tensor& x) { return training_step(s, x); });
  TrainingState state = training_state(kGpu);
  TensorList kept;
  for (int run = 0; run < kRuns + 1; ++run) {
    kept.push_back(compiled(state, batch(run)));
    for (const Tensor& leaf : tree::leaves(state)) kept.push_back(leaf + 0);
    if (run == 1)  // and some that are not donated, because they are still held
      for (const Tensor& leaf : tree::leaves(state)) kept.push_back(leaf);
    poison_free_memory();
  }
  return values_of(kept);
}

/// Results of one program are the operands of the next call, without waiting.
Values kept_results_of_a_chain() {
  const auto compiled = jit([](const TensorList& x) {
    return TensorList{tanh(matmul(x[0], transpose(x[0]))) * 0.5 + x[0], sum(x[0], {1})};
  });
  TensorList kept;
  Tensor x = ramp_on(kGpu, {8, 8}, -1, 1);
  for (int run = 0; run < 2 * kRuns; ++run) {
    const TensorList y = compiled(TensorList{x});
    x = y[0];
    kept.insert(kept.end(), y.begin(), y.end());
    poison_free_memory();
  }
  return values_of(kept);
}

class ResultsAreValues : public ::testing::Test {
 protected:
  void SetUp() override { set_matmul_precision(Precision::kHighest); }
  void TearDown() override {
    set_matmul_precision(Precision::kDefault);
    unsetenv("LINNET_CUDA_GRAPHS");
    functions().set_policy("random");
  }

  /// Equal bit for bit in all orders and both forms, and close to what `expected` says.
  void check(const std::function<Values()>& program, const Values& expected) {
    const ScopedDevice here(kGpu);
    Values first;
    for (const bool graphs : {false, true}) {
      setenv("LINNET_CUDA_GRAPHS", graphs ? "1" : "0", 1);
      for (const char* policy : kPolicies) {
        SCOPED_TRACE(std::string(graphs ? "graphs, " : "lists, ") + policy);
        synchronize(kGpu);
        functions().set_policy(policy);
        const uint64_t before = cuda::statistics().graph_runs;
        const Values got = program();
        EXPECT_EQ(cuda::statistics().graph_runs > before, graphs);
        if (first.empty()) first = got;
        EXPECT_EQ(got, first);
      }
    }
    ASSERT_EQ(first.size(), expected.size());
    for (size_t k = 0; k < first.size(); ++k) {
      ASSERT_EQ(first[k].size(), expected[k].size());
      for (size_t i = 0; i < first[k].size(); ++i)
        EXPECT_NEAR(first[k][i], expected[k][i], 1e-5 * (1 + std::abs(expected[k][i])))
            << "result " << k << " at " << i;
    }
  }
};

TEST_F(ResultsAreValues, of_functions) {
  Values expected;
  for (int run = 0; run < kRuns; ++run) {
    const Values y = values_of(forward({batch(run).to(kCpu)}));
    expected.insert(expected.end(), y.begin(), y.end());
  }
  check(kept_results_of_functions, expected);
}

TEST_F(ResultsAreValues, of_steps_that_change_state) {
  TrainingState state = training_state(kCpu);
  Values expected;
  for (int run = 0; run < kRuns + 1; ++run) {
    expected.push_back(training_step(state, batch(run).to(kCpu)).to_vector<float>());
    for (int copies = 0; copies < (run == 1 ? 2 : 1); ++copies)
      for (const auto& leaf : values_of(state)) expected.push_back(leaf);
  }
  check(kept_states_of_steps, expected);
}

TEST_F(ResultsAreValues, of_calls_that_feed_each_other) {
  Values expected;
  Tensor x = ramp_on(kCpu, {8, 8}, -1, 1);
  for (int run = 0; run < 2 * kRuns; ++run) {
    expected.push_back((tanh(matmul(x, transpose(x))) * 0.5 + x).to_vector<float>());
    expected.push_back(sum(x, {1}).to_vector<float>());
    x = tanh(matmul(x, transpose(x))) * 0.5 + x;
  }
  check(kept_results_of_a_chain, expected);
}

/// Two threads run one program at once: they take turns, and each gets its own results.
TEST_F(ResultsAreValues, of_two_threads_with_one_program) {
  const auto compiled = jit([](const TensorList& x) { return forward(x); });
  std::array<Values, 2> got;
  const auto work = [&](size_t me) {
    TensorList kept;
    for (int run = 0; run < 8; ++run)
      for (const Tensor& y : compiled(TensorList{batch(static_cast<int>(me) + run)}))
        kept.push_back(y);
    got[me] = values_of(kept);
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  const size_t each = got[0].size() / 8;
  for (size_t k = 0; k + each < got[0].size(); ++k) EXPECT_EQ(got[0][k + each], got[1][k]) << k;
}

}  // namespace
}  // namespace linnet::testing::results_are_values_test
