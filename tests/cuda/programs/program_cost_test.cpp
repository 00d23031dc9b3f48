// Pieces of work and bytes of training steps, as the predictions of benchmarks/gpu take them:
// counts of what is lowered, not times. What changes here is a change of what a device has to do.
#include <gtest/gtest.h>

#include "benchmarks/gpu/models.h"
#include "linnet/precision.h"

namespace workload {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

class ProgramCosts : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GT(device_count(DeviceType::kCuda), 0);
    set_matmul_precision(Precision::kDefault);
  }
  ScopedDevice here_{kGpu};
};

struct Counts {
  size_t work = 0, library = 0, host = 0;
};

Counts counts_of(const ProgramCost& cost) {
  Counts out;
  for (const WorkCost& each : cost.work) {
    ++out.work;
    out.library += each.kind == WorkCost::Kind::kLibrary;
    out.host += each.kernel.starts_with("host") || each.kind == WorkCost::Kind::kStep;
  }
  return out;
}

void expect_counts(const ProgramCost& cost, size_t work, size_t library, double bytes) {
  EXPECT_EQ(cost.device, kGpu);
  EXPECT_EQ(counts_of(cost).work, work);
  EXPECT_EQ(counts_of(cost).library, library);
  EXPECT_EQ(counts_of(cost).host, 0u) << "nothing is left to the host";
  EXPECT_NEAR(cost.bytes(), bytes, 1e-3 * bytes);
}

TEST_F(ProgramCosts, multilayer_perceptron) {
  const ProgramCost cost = cost_of_mlp();
  expect_counts(cost, 27, 8, 9.00e6);
  // Three products forward, two of the inputs and three of the kernels backward.
  EXPECT_EQ(cost.flops(), 2. * 64 * (3 * (784 * 256 + 256 * 128 + 128 * 10) - 784 * 256));
}

TEST_F(ProgramCosts, convolutional_network) {
  expect_counts(cost_of_small_cnn(), 74, 11, 112.56e6);
}

TEST_F(ProgramCosts, residual_network) {
  expect_counts(cost_of_resnet({1, 1}, 16, 8, 32), 171, 29, 9.962e6);
}

TEST_F(ProgramCosts, transformer) {
  GptOptions options;
  options.vocabulary = 512;
  options.length = 64;
  options.features = 64;
  options.heads = 2;
  options.layers = 2;
  const ProgramCost cost = cost_of_gpt(options, 4);
  expect_counts(cost, 195, 43, 18.162e6);
}

TEST_F(ProgramCosts, generating_a_token) {
  GptOptions options;
  options.vocabulary = 512;
  options.length = 64;
  options.features = 64;
  options.heads = 2;
  options.layers = 2;
  const ProgramCost cost = cost_of_decoding(options);
  expect_counts(cost, 50, 15, 0.32905e6);
  // Caches are written in place.
  for (const WorkCost& each : cost.work) EXPECT_NE(each.kind, WorkCost::Kind::kCopy);
}

/// On the CPU each step is one piece of work.
TEST(ProgramCost, of_the_host) {
  const auto f = jit([](const Tensor& x, const Tensor& w) { return relu(matmul(x, w)) + 1; });
  const ProgramCost cost = f.lower(zeros({4, 8}), zeros({8, 2})).cost();
  EXPECT_EQ(cost.device, kCpu);
  ASSERT_EQ(cost.work.size(), 2u);
  EXPECT_EQ(cost.work[0].operation, "linear_bias_activation");
  EXPECT_EQ(cost.work[0].flops, 2. * 4 * 8 * 2);
  EXPECT_EQ(cost.work[0].bytes, 4. * (4 * 8 + 8 * 2 + 4 * 2));
  EXPECT_EQ(cost.work[1].bytes, 2 * 4. * 4 * 2 + 4) << "and the number that is added";
  EXPECT_EQ(cost.flops(), cost.work[0].flops);
  EXPECT_EQ(cost.input_bytes, 4u * (4 * 8 + 8 * 2 + 1));
  EXPECT_EQ(cost.result_bytes, 4u * 4 * 2);
}

}  // namespace
}  // namespace workload
