// Convolutions by cuDNN on the device: values against the CPU, which request it takes, and the
// reason of every one that it does not.
#include <gtest/gtest.h>

#include "core/ops/fused.h"
#include "core/trace/eval.h"
#include "cuda/programs/cudnn_checks.h"
#include "linnet/cuda.h"

namespace linnet::testing::cudnn_test {
namespace {

constexpr const char* kConv = "conv_general_dilated";

struct ConvCase {
  const char* name;
  Shape x, w;
  ConvOptions options;
};

std::vector<ConvCase> conv_cases() {
  return {
      {"plain", {2, 5, 6, 4}, {3, 3, 4, 8}, {}},
      {"padded", {2, 5, 6, 4}, {3, 3, 4, 8}, {.padding = {{1, 1}, {1, 1}}}},
      {"odd_channels", {2, 5, 6, 3}, {3, 2, 3, 7}, {}},
      {"strided_uneven_padding",
       {2, 6, 6, 4},
       {3, 3, 4, 8},
       {.strides = {2, 2}, .padding = {{0, 1}, {0, 1}}}},
      {"dilated", {1, 8, 7, 4}, {3, 3, 4, 8}, {.rhs_dilation = {2, 1}}},
      {"grouped", {2, 5, 5, 8}, {3, 3, 4, 8}, {.feature_groups = 2}},
      {"depthwise", {1, 5, 5, 8}, {3, 3, 1, 8}, {.feature_groups = 8}},
      {"one_by_one", {2, 4, 4, 8}, {1, 1, 8, 16}, {}},
      {"transposed",
       {2, 4, 3, 4},
       {3, 2, 4, 8},
       {.padding = {{1, 2}, {1, 1}}, .lhs_dilation = {2, 3}}},
      {"transposed_grouped",
       {1, 4, 4, 8},
       {3, 3, 4, 6},
       {.padding = {{2, 2}, {1, 1}}, .lhs_dilation = {2, 2}, .feature_groups = 2}},
      {"dilated_and_strided",
       {1, 4, 4, 4},
       {3, 3, 4, 8},
       {.strides = {2, 1}, .padding = {{1, 1}, {0, 1}}, .lhs_dilation = {3, 1}}},
      {"cut_off", {1, 6, 5, 4}, {3, 3, 4, 8}, {.padding = {{-1, 1}, {2, -1}}}},
      {"line", {2, 9, 4}, {3, 4, 8}, {.padding = {{1, 1}}}},
      {"volume", {1, 4, 4, 4, 4}, {2, 2, 2, 4, 8}, {}},
  };
}

Function conv_of(const ConvCase& c) {
  return [c](const TensorList& in) {
    return TensorList{conv_general_dilated(in[0], in[1], c.options)};
  };
}

TEST_F(Cudnn, convolutions_forward) {
  for (const ConvCase& c : conv_cases()) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kF64}) {
      SCOPED_TRACE(std::string(c.name) + " in " + std::string(name_of(dtype)));
      expect_same_by_library(kConv, conv_of(c), {numbers(c.x, dtype), numbers(c.w, dtype, 0.61f)});
    }
  }
}

TEST_F(Cudnn, convolutions_backward) {
  for (const ConvCase& c : conv_cases()) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
      SCOPED_TRACE(std::string(c.name) + " in " + std::string(name_of(dtype)));
      const TensorList x{numbers(c.x, dtype), numbers(c.w, dtype, 0.61f)};
      const auto gradients = [&](const TensorList& in) {
        const auto [y, pullback] = vjp(conv_of(c), in);
        return pullback({numbers(y[0].shape(), dtype, 0.23f).to(in[0].device())});
      };
      expect_same_by_library("conv_backward_data", gradients, x);
      expect_same_by_library("conv_backward_weights", gradients, x);
    }
  }
}

TEST_F(Cudnn, convolution_bias_activation_residual_in_one_kernel) {
  struct Row {
    DType dtype;
    Activation activation;
    bool has_bias, has_residual;
  };
  const Row rows[] = {
      {DType::kF32, ScalarOp::kRelu, true, false},
      {DType::kF32, ScalarOp::kTanh, true, false},
      {DType::kF32, {}, true, true},
      {DType::kBF16, {}, true, false},
      {DType::kBF16, ScalarOp::kRelu, true, true},
      {DType::kBF16, ScalarOp::kGeluTanh, true, false},
      {DType::kBF16, ScalarOp::kSilu, false, true},
      {DType::kF16, ScalarOp::kLogistic, true, false},
      {DType::kBF16, ScalarOp::kGeluErf, true, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(name_of(row.dtype));
    ConvBiasActivationParams p{.conv = {.strides = {1, 1},
                                        .padding_low = {1, 1},
                                        .padding_high = {1, 1},
                                        .lhs_dilation = {1, 1},
                                        .rhs_dilation = {1, 1},
                                        .in_size = {5, 5},
                                        .kernel_size = {3, 3}},
                               .has_bias = row.has_bias,
                               .has_residual = row.has_residual,
                               .activation = row.activation};
    TensorList x{numbers({2, 5, 5, 8}, row.dtype), numbers({3, 3, 8, 16}, row.dtype, 0.61f) * 0.25};
    if (row.has_bias) x.push_back(numbers({16}, row.dtype, 0.9f));
    if (row.has_residual) x.push_back(numbers({2, 5, 5, 16}, row.dtype, 0.13f));
    expect_same_by_library(
        "conv_bias_activation",
        [&](const TensorList& in) { return emit(conv_bias_activation_primitive(), in, p); }, x);
  }
}

TEST_F(Cudnn, J_024_default_precision_rounds_operands_of_convolutions) {
  const Tensor x = full({1, 4, 4, 8}, 1 + 0x1p-12f), w = full({1, 1, 8, 8}, 1.f);
  const auto at_precision = [&](Precision precision) {
    set_matmul_precision(precision);
    return conv_general_dilated(x.to(kGpu), w.to(kGpu)).to(kCpu).to_vector<float>()[3];
  };
  EXPECT_EQ(at_precision(Precision::kHighest), 8 * (1 + 0x1p-12f));
  const float rounded = at_precision(Precision::kDefault);
  EXPECT_TRUE(rounded == 8 || rounded == 8 * (1 + 0x1p-12f)) << rounded;
}

TEST_F(Cudnn, convolutions_that_are_declined) {
  const Function conv = [](const TensorList& in) {
    return TensorList{conv_general_dilated(in[0], in[1])};
  };
  expect_declined(conv, {numbers({0, 4, 4, 4}), numbers({3, 3, 4, 8})}, "an empty operand");
  expect_declined(conv, {numbers({1, 2, 4, 4}), numbers({3, 3, 4, 8})}, "an empty result");
  ConvBiasActivationParams p{.conv = {.strides = {1},
                                      .padding_low = {0},
                                      .padding_high = {0},
                                      .lhs_dilation = {1},
                                      .rhs_dilation = {1},
                                      .in_size = {5},
                                      .kernel_size = {3}},
                             .activation = ScalarOp::kSoftplus};
  const Function fused = [&](const TensorList& in) {
    return emit(conv_bias_activation_primitive(), in, p);
  };
  expect_declined(fused, {numbers({2, 5, 8}), numbers({3, 8, 8})}, "softplus inside");
  p.activation = ScalarOp::kRelu;
  expect_declined(fused, {numbers({2, 5, 8}, DType::kF64), numbers({3, 8, 8}, DType::kF64)},
                  "f64 with something after it");
}

/// Operands that begin where 16 bytes do not.
TEST_F(Cudnn, convolution_of_a_view_that_is_less_aligned) {
  const Tensor wide = numbers({2, 5, 5, 4}, DType::kBF16);
  expect_same_by_library(
      kConv,
      [](const TensorList& in) {
        const Tensor row = slice_axis(reshape(in[0], {200}), 1, 101, 0);
        return TensorList{conv_general_dilated(reshape(row, {1, 5, 5, 4}), in[1])};
      },
      {wide, numbers({2, 2, 4, 8}, DType::kBF16)});
}

/// As a launch list first, then as a graph of which library steps are parts.
TEST_F(Cudnn, compiled_programs_run_again_and_again) {
  const Function network = [](const TensorList& x) {
    const Tensor y = relu(conv_general_dilated(x[0], x[1], {.padding = {{1, 1}, {1, 1}}}) + x[2]);
    const Tensor rows = reshape(y, {2, 16, 2, 8});
    return TensorList{dot_product_attention(rows, rows, rows, {}, {}, {.causal = true}), y};
  };
  const auto compiled = jit(network);
  TensorList kept;
  for (int turn = 0; turn < 4; ++turn) {
    SCOPED_TRACE(turn);
    const TensorList x{numbers({2, 4, 4, 8}, DType::kBF16, 0.2f + 0.1f * static_cast<float>(turn)),
                       numbers({3, 3, 8, 16}, DType::kBF16, 0.61f),
                       numbers({16}, DType::kBF16, 0.9f)};
    const TensorList there = compiled(moved(x, kGpu));
    expect_equal(there, compiled(x), DType::kBF16, 32);
    kept.push_back(there[0]);
  }
  EXPECT_NE(kept[0].to(kCpu).to_vector<float>(), kept[3].to(kCpu).to_vector<float>());
}

TEST(CudnnReport, says_the_versions_of_library_and_frontend) {
  const std::string text = cuda::report();
  EXPECT_NE(text.find("planned for through cudnn-frontend 1."), std::string::npos) << text;
}

}  // namespace
}  // namespace linnet::testing::cudnn_test
