// What only a step of training has, as one node each: that it is made, and computes what its parts
// do on the CPU.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/precision.h"
#include "ops/op_checks.h"

namespace linnet::testing::training_fusions_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

Tensor numbers(const Shape& shape, DType dtype, double step) {
  const Tensor x = astype(iota(DType::kI32, {element_count(shape)}), DType::kF32);
  return astype(reshape(sin((x + 1.f) * step), shape), dtype);
}

TensorList moved(const TensorList& x, Device device) {
  TensorList out;
  for (const Tensor& t : x) out.push_back(t.to(device));
  return out;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return found;
}

DType wide(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

using Step = TensorList (*)(const TensorList&);

/// Runs a step compiled on the device and its parts on the CPU.
/// @return the program of the device
std::string expect_as_on_cpu(Step step, const TensorList& x, double tolerance) {
  const Precision before = matmul_precision();
  set_matmul_precision(Precision::kHighest);
  const auto compiled = jit([step](const TensorList& in) { return step(in); });
  const TensorList there = compiled(moved(x, kGpu)), here = step(x);
  for (size_t i = 0; i < here.size(); ++i) EXPECT_EQ(there[i].device(), kGpu);
  const std::string text = difference(moved(there, kCpu), here, tolerance);
  EXPECT_TRUE(text.empty()) << text;
  const std::string program = compiled.lower(moved(x, kGpu)).optimized_text();
  set_matmul_precision(before);
  return program;
}

/// Two layers with tanh-GELU between: loss and the gradients of all.
TensorList perceptron_step(const TensorList& x) {
  const auto loss = [&x](const TensorList& p) {
    const Tensor h = gelu(matmul(x[0], p[0]) + p[1]);
    return sum(square(astype(matmul(h, p[2]) + p[3], DType::kF32)));
  };
  auto [value, gradients] = value_and_grad(loss)(TensorList(x.begin() + 1, x.end()));
  gradients.push_back(value);
  return gradients;
}

TensorList perceptron(DType dtype, int64_t hidden) {
  return {numbers({2, 6, 8}, dtype, .37), numbers({8, hidden}, dtype, .11),
          numbers({hidden}, dtype, .23), numbers({hidden, 16}, dtype, .31),
          numbers({16}, dtype, .17)};
}

TEST(TrainingFusions, products_keep_what_the_way_back_needs) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const std::string program =
        expect_as_on_cpu(perceptron_step, perceptron(dtype, 24), 8 * tolerance_in(dtype, 4e-15));
    EXPECT_EQ(count(program, "= linear_activation_and_input("), 1u) << program;
    EXPECT_EQ(count(program, "= dot_activation_grad("), 1u) << program;
    EXPECT_EQ(count(program, "= dot_and_sums("), 2u) << program;
    EXPECT_EQ(count(program, "reduce_sum("), 1u) << "that of the loss\n" << program;
  }
}

/// The library wants rows of the activation's operand at multiples of 16 bytes, and 16 bits.
TEST(TrainingFusions, products_of_other_types_and_sizes_stay_as_they_are) {
  const std::string odd = expect_as_on_cpu(perceptron_step, perceptron(DType::kBF16, 20),
                                           8 * tolerance_in(DType::kBF16, 4e-15));
  EXPECT_EQ(count(odd, "linear_activation_and_input") + count(odd, "dot_activation_grad"), 0u);
  const std::string wide = expect_as_on_cpu(perceptron_step, perceptron(DType::kF32, 24), 1e-2);
  EXPECT_EQ(count(wide, "dot_and_sums") + count(wide, "dot_activation_grad"), 0u);
}

/// The sums of the left operand, where it is the cotangent.
TEST(TrainingFusions, sums_of_either_operand) {
  const auto step = [](const TensorList& x) {
    const DotDims over_rows{.lhs_contract = {0}, .rhs_contract = {0}};
    return TensorList{dot_general(x[0], x[1], over_rows), sum(x[0], 0)};
  };
  const std::string program = expect_as_on_cpu(
      step, {numbers({9, 8}, DType::kBF16, .3), numbers({9, 16}, DType::kBF16, .7)},
      2 * tolerance_in(DType::kBF16, 4e-15));
  EXPECT_EQ(count(program, "of_lhs=true"), 1u) << program;
}

/// A sum that a product's other operand depends on cannot be made beside it.
TEST(TrainingFusions, sums_that_are_needed_before_stay) {
  const auto step = [](const TensorList& x) {
    const DotDims over_rows{.lhs_contract = {0}, .rhs_contract = {0}};
    const Tensor sums = sum(x[0], 0);
    return TensorList{dot_general(x[1] + sum(sums), x[0], over_rows), sums};
  };
  const std::string program = expect_as_on_cpu(
      step, {numbers({9, 8}, DType::kBF16, .3), numbers({9, 16}, DType::kBF16, .7)},
      4 * tolerance_in(DType::kBF16, 4e-15));
  EXPECT_EQ(count(program, "dot_and_sums"), 0u) << program;
}

TensorList loss_step(const TensorList& x) {
  const auto loss = [&x](const Tensor& logits) {
    return sum(softmax_cross_entropy_with_integer_labels(logits, x[1]) * x[2]);
  };
  const auto [value, gradient] = value_and_grad(loss)(x[0]);
  return {value, gradient};
}

TEST(TrainingFusions, loss_and_gradient_at_once) {
  const Tensor labels = from_vector(std::vector<int32_t>{0, 36, -1, 7}, {4});
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Tensor weight = astype(from_vector(std::vector<float>{1, .5f, 2, 1}, {4}), dtype);
    const std::string program = expect_as_on_cpu(
        loss_step, {numbers({4, 37}, dtype, 1.3), labels, weight}, 4 * tolerance_in(dtype, 4e-15));
    EXPECT_EQ(count(program, "labels_and_gradient("), 1u) << program;
  }
}

/// The gradient of the square of a loss needs the loss first.
TEST(TrainingFusions, gradient_that_needs_the_loss_stays) {
  const auto step = [](const TensorList& x) {
    const auto loss = [&x](const Tensor& logits) {
      return sum(square(softmax_cross_entropy_with_integer_labels(logits, x[1])));
    };
    return TensorList{grad(loss)(x[0])};
  };
  const Tensor labels = from_vector(std::vector<int32_t>{0, 36, 2, 7}, {4});
  const std::string program =
      expect_as_on_cpu(step, {numbers({4, 37}, DType::kF32, 1.3), labels}, 1e-4);
  EXPECT_EQ(count(program, "labels_and_gradient("), 0u) << program;
}

/// A block of a residual network: norms with activations, the last with the block's operand.
TensorList residual_step(const TensorList& x) {
  const auto loss = [&x](const TensorList& p) {
    const auto norm = [&](const Tensor& h, size_t at) {
      return batch_norm_train(h, p[at], p[at + 1], 1e-5).y;
    };
    const Tensor inner = relu(norm(matmul(x[0], p[0]), 1));
    const Tensor y = relu(norm(matmul(inner, p[3]), 4) + x[0]);
    return sum(astype(y, DType::kF32) * astype(y, DType::kF32));
  };
  auto [value, gradients] = value_and_grad(loss)(TensorList(x.begin() + 1, x.end()));
  gradients.push_back(value);
  return gradients;
}

TEST(TrainingFusions, batch_norms_with_activation_and_residual) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Tensor scale = numbers({16}, DType::kF32, .23), bias = numbers({16}, DType::kF32, .17);
    const TensorList x{numbers({4, 5, 16}, dtype, .37), numbers({16, 16}, dtype, .11),
                       astype(scale + 2, wide(dtype)),  astype(bias, wide(dtype)),
                       numbers({16, 16}, dtype, .31),   astype(scale + 1.5f, wide(dtype)),
                       astype(bias, wide(dtype))};
    const std::string program =
        expect_as_on_cpu(residual_step, x, dtype == DType::kBF16 ? 0.2 : 2e-3);
    EXPECT_EQ(count(program, "= batch_norm_train_relu("), 2u) << program;
    EXPECT_EQ(count(program, "has_residual=true"), 1u) << program;
    EXPECT_EQ(count(program, " relu("), 0u) << program;
    EXPECT_EQ(count(program, "= batch_norm_relu_backward("), 1u) << program;
    EXPECT_EQ(count(program, "= batch_norm_backward("), 1u) << "that with the residual\n"
                                                            << program;
  }
}

/// Two residual blocks of one convolution each, of which the second may have a stride and another
/// convolution instead of its operand.
TensorList convolved_step(const TensorList& x) {
  const bool projects = x.size() == 4;
  const auto loss = [&x, projects](const TensorList& p) {
    const auto convolved = [](const Tensor& h, const Tensor& w, int64_t stride) {
      return conv_general_dilated(h, w, {.strides = {stride, stride}, .padding = {{1, 1}, {1, 1}}});
    };
    const Tensor first = relu(convolved(x[0], p[0], 1) + x[0]);
    const Tensor second = projects ? convolved(first, p[1], 2) + convolved(first, p[2], 2)
                                   : convolved(first, p[1], 1) + first;
    return sum(square(astype(relu(second), DType::kF32)));
  };
  auto [value, gradients] = value_and_grad(loss)(TensorList(x.begin() + 1, x.end()));
  gradients.push_back(value);
  return gradients;
}

/// Norms of what convolutions give: with relu, with residual and relu, and as they are.
TensorList normalised_step(const TensorList& x) {
  TensorList out;
  for (const int what : {0, 1, 2}) {
    const Tensor h = conv_general_dilated(x[0], x[1], {.strides = {what + 1, 1}});
    const auto norm = batch_norm_train(h, x[2], what == 2 ? Tensor() : x[3], 1e-5);
    out.push_back(what == 0 ? relu(norm.y) : what == 1 ? relu(norm.y + x[4]) : norm.y);
    out.push_back(norm.mean);
    out.push_back(norm.variance);
  }
  return out;
}

/// The channels' means are far from zero, where squares lose most.
TEST(TrainingFusions, moments_of_batch_norms_beside_convolutions) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const Tensor scale = numbers({6}, DType::kF32, .23) + 1.5f, bias = numbers({6}, DType::kF32, 1);
    const TensorList x{numbers({3, 7, 5, 4}, dtype, .37) + scalar(2, dtype),
                       numbers({3, 1, 4, 6}, dtype, .11), scale, bias,
                       numbers({3, 3, 5, 6}, dtype, .7)};
    const std::string program = expect_as_on_cpu(normalised_step, x, 1e-2);
    const size_t once = dtype == DType::kF32 ? 0 : 1;
    EXPECT_EQ(count(program, "= conv_and_moments("), 3 * once) << program;
    EXPECT_EQ(count(program, "= batch_norm_inference_relu("), 2 * once) << program;
    EXPECT_EQ(count(program, "= batch_norm_inference("), once) << program;
    EXPECT_EQ(count(program, "= batch_norm_train"), 3 - 3 * once) << program;
  }
}

TEST(TrainingFusions, gradients_of_residual_blocks_behind_convolutions) {
  const auto check = [](DType dtype, bool projects, size_t expected) {
    const auto weights = [dtype](double step) {
      return numbers({3, 3, 8, 8}, dtype, step) * scalar(.1, dtype);
    };
    TensorList x{numbers({2, 6, 5, 8}, dtype, .37), weights(.11), weights(.31)};
    if (projects) x.push_back(weights(.17));
    const std::string program =
        expect_as_on_cpu(convolved_step, x, dtype == DType::kF64 ? 1e-12 : .1);
    EXPECT_EQ(count(program, "= conv_backward_data_add("), expected) << program;
    EXPECT_EQ(count(program, "masks=true"), expected) << program;
  };
  check(DType::kBF16, true, 1);
  check(DType::kF16, false, 1);
  check(DType::kF64, false, 0);  // which cuDNN computes alone
}

/// Two convolutions of one operand, and no activation before them.
TEST(TrainingFusions, gradients_of_a_common_operand_are_added_behind_a_convolution) {
  const auto step = [](const TensorList& x) {
    const auto loss = [&x](const Tensor& image) {
      return sum(square(conv_general_dilated(image, x[1]))) +
             sum(square(conv_general_dilated(image, x[2], {.strides = {2, 2}})));
    };
    return TensorList{grad(loss)(x[0])};
  };
  const std::string program = expect_as_on_cpu(
      step,
      {numbers({2, 6, 5, 3}, DType::kF32, .37), numbers({2, 3, 3, 4}, DType::kF32, .11),
       numbers({1, 1, 3, 5}, DType::kF32, .31)},
      1e-3);
  EXPECT_EQ(count(program, "= conv_backward_data_add("), 1u) << program;
  EXPECT_EQ(count(program, "masks=true"), 0u) << program;
}

}  // namespace
}  // namespace linnet::testing::training_fusions_test
