// Every call of the driver that a training step makes fails once. The step then either succeeds, or
// throws an error that says what was being done; the state is that before or that after the step,
// unless the error says that it is lost.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "cuda/fake_driver/fake_driver.h"
#include "cuda/programs/training_step.h"
#include "linnet/cuda.h"

namespace linnet::testing::fault_walk_test {
namespace {

using fake_cuda::functions;

class FaultWalk : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    setenv("LINNET_CUDA_GRAPHS", GetParam(), 1);
    functions().reset();
  }
  void TearDown() override {
    unsetenv("LINNET_CUDA_GRAPHS");
    functions().reset();
  }
};

/// Runs `step`; returns the text of its error, or nothing.
std::string error_of(const std::function<void()>& step) {
  try {
    step();
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

/// A step whose program has run as list and as graph, and its state.
struct Training {
  TrainingState state = training_state(kGpu);
  Tensor x = ramp_on(kGpu, {32, 8}, -1, 1);
  Tensor loss;
  std::function<void()> step;

  Training() {
    const auto compiled =
        jit([](TrainingState& s, const Tensor& x) { return training_step(s, x); });
    step = [this, compiled] { loss = compiled(state, x); };
    for (int i = 0; i < 3; ++i) step();
    synchronize(kGpu);
  }
};

TEST_P(FaultWalk, R_042_of_a_training_step_leaves_the_state_or_says_so) {
  int faults = 0, errors = 0;
  for (int n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    Training training, twin;
    const auto before = values_of(training.state);
    twin.step();
    const auto after = values_of(twin.state);
    ASSERT_TRUE(functions().set_fault(("*:" + std::to_string(n)).c_str()));
    const uint64_t calls = functions().calls("*");
    const std::string error = error_of(training.step);
    const bool reached = functions().calls("*") - calls >= static_cast<uint64_t>(n);
    functions().set_fault("");
    if (!reached) break;
    ++faults;
    if (error.empty()) {
      EXPECT_EQ(values_of(training.state), after);
      continue;
    }
    ++errors;
    EXPECT_NE(error.find("cuda"), std::string::npos) << error;
    if (error.find("is lost") != std::string::npos) continue;
    EXPECT_EQ(values_of(training.state), before) << error;
    // And it can be taken again.
    EXPECT_EQ(error_of(training.step), "");
    EXPECT_EQ(values_of(training.state), after);
  }
  EXPECT_GT(faults, 5);
  EXPECT_GT(errors, 0);
  // What a graph does not take is given to the driver one by one.
  const bool graphs = GetParam() == std::string("1");
  EXPECT_EQ(errors < faults, graphs);
  Training again;
  const uint64_t runs = cuda::statistics().graph_runs;
  again.step();
  EXPECT_EQ(cuda::statistics().graph_runs > runs, graphs) << "after all these faults";
}

TEST_P(FaultWalk, of_reading_a_result_leaves_it_there) {
  Training training;
  const float expected = training.loss.item<float>();
  for (int n = 1; n < 100; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    functions().set_fault(("*:" + std::to_string(n)).c_str());
    const uint64_t calls = functions().calls("*");
    const std::string error = error_of([&] { EXPECT_EQ(training.loss.item<float>(), expected); });
    const bool reached = functions().calls("*") - calls >= static_cast<uint64_t>(n);
    functions().set_fault("");
    EXPECT_EQ(training.loss.item<float>(), expected);
    if (!reached) return;
    EXPECT_NE(error, "");
  }
  FAIL() << "reading takes a hundred calls";
}

/// From some call on the device is gone: errors, but no crash and no waiting for ever.
TEST_P(FaultWalk, of_a_device_that_is_lost) {
  for (const int n : {1, 2, 3, 5, 8, 13, 21}) {
    SCOPED_TRACE("call " + std::to_string(n));
    Training training;
    functions().set_fault(("lost:" + std::to_string(n)).c_str());
    std::string error;
    for (int i = 0; i < 30 && error.empty(); ++i) error = error_of(training.step);
    EXPECT_NE(error.find("cuda"), std::string::npos) << error;
    EXPECT_NE(error_of([&] { values_of(training.state); }), "");
    EXPECT_NE(error_of([] { synchronize(kGpu); }), "");
    functions().reset();
  }
}

INSTANTIATE_TEST_SUITE_P(GraphsOffAndOn, FaultWalk, ::testing::Values("0", "1"));

}  // namespace
}  // namespace linnet::testing::fault_walk_test
