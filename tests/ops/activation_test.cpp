#include <limits>

#include "elementwise_support.h"

namespace linnet::activation_test {
namespace {

using testing::check_derivatives;
using testing::derivative;
using testing::expect_close;
using testing::expect_error;
using testing::expect_tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double log_one_plus_exp(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

struct Case {
  const char* name;
  testing::Function function;
  double (*reference)(double);
};

std::vector<Case> cases() {
  return {
      {"relu", relu, [](double x) { return std::max(x, 0.0); }},
      {"relu6", relu6, [](double x) { return std::min(std::max(x, 0.0), 6.0); }},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); },
       [](double x) { return x < 0 ? 0.01 * x : x; }},
      {"leaky_relu 0.2", [](const Tensor& x) { return leaky_relu(x, 0.2); },
       [](double x) { return x < 0 ? 0.2 * x : x; }},
      {"elu", [](const Tensor& x) { return elu(x); },
       [](double x) { return x > 0 ? x : std::expm1(x); }},
      {"elu 0.7", [](const Tensor& x) { return elu(x, 0.7); },
       [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); }},
      {"celu", [](const Tensor& x) { return celu(x); },
       [](double x) { return x > 0 ? x : std::expm1(x); }},
      {"celu 0.5", [](const Tensor& x) { return celu(x, 0.5); },
       [](double x) { return x > 0 ? x : 0.5 * std::expm1(x / 0.5); }},
      {"selu", selu,
       [](double x) {
         return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
       }},
      {"sigmoid", sigmoid, logistic},
      {"silu", silu, [](double x) { return x * logistic(x); }},
      {"swish", swish, [](double x) { return x * logistic(x); }},
      {"gelu", [](const Tensor& x) { return gelu(x); },
       [](double x) {
         return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {"gelu exact", [](const Tensor& x) { return gelu(x, false); },
       [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }},
      {"softplus", softplus, log_one_plus_exp},
      {"log_sigmoid", log_sigmoid, [](double x) { return -log_one_plus_exp(-x); }},
      {"hard_tanh", hard_tanh, [](double x) { return std::clamp(x, -1.0, 1.0); }},
      {"hard_sigmoid", hard_sigmoid, [](double x) { return std::clamp(x + 3, 0.0, 6.0) / 6; }},
      {"hard_silu", hard_silu, [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }},
      {"soft_sign", soft_sign, [](double x) { return x / (1 + std::abs(x)); }},
      {"mish", mish, [](double x) { return x * std::tanh(log_one_plus_exp(x)); }},
  };
}

const std::vector<double> kPoints = {-7.5, -3.4, -1.2, -0.4, 0.3, 0.8, 2.6, 5.5, 8.1};

TEST(Activation, J_034_J_035_J_036_J_037_values) {
  const Tensor x = from_vector(kPoints, {static_cast<int64_t>(kPoints.size())});
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    std::vector<double> expected;
    for (double point : kPoints) expected.push_back(c.reference(point));
    expect_tensor(c.function(x), {DType::kF64, x.shape()}, expected, 1e-14);
    expect_tensor(c.function(x.astype(DType::kF32)), {DType::kF32, x.shape()}, expected, 2e-6);
    EXPECT_EQ(c.function(x.astype(DType::kBF16)).dtype(), DType::kBF16);
    EXPECT_EQ(derivative(c.function, x.astype(DType::kF16)).dtype(), DType::kF16);
  }
}

TEST(Activation, J_034_J_035_J_036_J_037_derivatives_of_first_and_second_order) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    check_derivatives(c.function, kPoints, 1e-6);
  }
}

TEST(Activation, third_derivatives_follow_from_the_second) {
  const Tensor x = tensor({-1.3, 0.2, 0.9});
  for (auto f : {silu, tanh, sigmoid, softplus}) {
    const auto second = [&](const Tensor& z) {
      return derivative([&](const Tensor& w) { return derivative(f, w); }, z);
    };
    const Tensor h = scalar(1e-5, DType::kF64);
    const Tensor differences = (second(x + h) - second(x - h)) / (2 * h);
    expect_close(derivative(second, x), differences.to_vector<double>(), 1e-6);
  }
}

TEST(Activation, J_034_derivatives_at_zero) {
  const Tensor zero = tensor({0.f});
  const auto at_zero = [&](const testing::Function& f) {
    return derivative(f, zero).item<float>();
  };
  EXPECT_EQ(at_zero(relu), 0);
  EXPECT_EQ(at_zero(relu6), 0);
  EXPECT_EQ(at_zero([](const Tensor& x) { return leaky_relu(x); }), 1);
  EXPECT_EQ(at_zero([](const Tensor& x) { return elu(x, 0.7); }), 0.7f);
  EXPECT_EQ(at_zero([](const Tensor& x) { return celu(x, 0.5); }), 1);
  EXPECT_EQ(derivative(relu6, tensor({6.f})).item<float>(), 0);
  // The edges of what is made of it, and of hard_tanh.
  const Tensor edges = tensor({-3.f, 0.f, 3.f});
  expect_tensor(derivative(hard_sigmoid, edges), {DType::kF32, {3}}, {0, 1.0 / 6, 0}, 1e-7);
  expect_tensor(derivative(hard_silu, edges), {DType::kF32, {3}}, {0, 0.5, 1});
  expect_tensor(derivative(hard_tanh, tensor({-1.f, 1.f, 2.f})), {DType::kF32, {3}}, {1, 1, 0});
}

TEST(Activation, J_034_no_nan_from_the_branch_not_taken) {
  const Tensor large = tensor({1000.f, -1000.f});
  expect_tensor(derivative([](const Tensor& x) { return elu(x); }, large), {DType::kF32, {2}},
                {1, 0});
  expect_tensor(derivative(selu, large), {DType::kF32, {2}}, {double(1.0507009873554805f), 0},
                1e-6);
}

TEST(Activation, extreme_arguments_stay_finite) {
  const Tensor large = tensor({-1e30f, -200.f, 200.f, 1e30f});
  for (const auto& f :
       {testing::Function(silu), testing::Function([](const Tensor& x) { return gelu(x); }),
        testing::Function([](const Tensor& x) { return gelu(x, false); })}) {
    expect_tensor(derivative(f, large), {DType::kF32, {4}}, {0, 0, 1, 1}, 1e-6);
    expect_tensor(derivative([&](const Tensor& x) { return derivative(f, x); }, large),
                  {DType::kF32, {4}}, {0, 0, 0, 0}, 1e-6);
  }
  expect_tensor(softplus(tensor({-1000.f, 1000.f})), {DType::kF32, {2}}, {0, 1000});
  expect_tensor(log_sigmoid(tensor({-1000.f, 1000.f})), {DType::kF32, {2}}, {-1000, 0});
  EXPECT_TRUE(std::isnan(relu(tensor({float(kInfinity - kInfinity)})).item<float>()));
}

// Formulas with whole constants keep integers, those with floating ones give f32 that gives way to
// other floating types.
TEST(Activation, J_002_integers_and_bools_promote_as_in_the_formula) {
  const Tensor whole = tensor({-3, 2}), truth = tensor({true, false});
  const TensorType i32{DType::kI32, {2}}, weak_i32{DType::kI32, {2}, true};
  const TensorType f32{DType::kF32, {2}}, weak_f32{DType::kF32, {2}, true};
  expect_tensor(relu(whole), i32, {0, 2});
  expect_tensor(relu(truth), weak_i32, {1, 0});
  expect_tensor(hard_tanh(whole), i32, {-1, 1});
  expect_tensor(hard_tanh(truth), weak_i32, {1, 0});
  expect_tensor(hard_tanh(astype(tensor({0, 7}), DType::kU8)), {DType::kU8, {2}}, {0, 1});
  expect_tensor(relu6(whole), weak_f32, {0, 2});
  expect_tensor(relu6(truth), weak_f32, {1, 0});
  expect_tensor(leaky_relu(whole), weak_f32, {-0.03, 2}, 1e-7);
  expect_tensor(elu(whole), weak_f32, {std::expm1(-3.0), 2}, 1e-6);
  expect_tensor(celu(whole, 2), weak_f32, {2 * std::expm1(-1.5), 2}, 1e-6);
  EXPECT_EQ(selu(truth).type(), weak_f32);
  expect_tensor(hard_sigmoid(whole), weak_f32, {0, 5.0 / 6}, 1e-6);
  expect_tensor(hard_silu(whole), weak_f32, {0, 5.0 / 3}, 1e-6);
  expect_tensor(soft_sign(whole), f32, {-0.75, 2.0 / 3}, 1e-6);
  expect_tensor(soft_sign(truth), weak_f32, {0.5, 0});
  EXPECT_EQ(softplus(whole).type(), f32);
  EXPECT_EQ(softplus(truth).type(), weak_f32);
  for (auto f : {sigmoid, silu, log_sigmoid, mish}) EXPECT_EQ(f(whole).type(), f32);
  EXPECT_EQ((ones({2}, DType::kBF16) + hard_sigmoid(whole)).dtype(), DType::kBF16);
}

TEST(Activation, J_038_glu) {
  const Tensor x = tensor<float>({{1, 2, 0, 0}, {3, 4, 0, 0}});
  expect_tensor(glu(x), {DType::kF32, {2, 2}}, {0.5, 1, 1.5, 2});
  expect_tensor(glu(x, 0), {DType::kF32, {1, 4}}, {logistic(3), 2 * logistic(4), 0, 0}, 1e-6);
  expect_error<ShapeError>(
      [] {
        glu(ones({2, 3}));
      },
      "glu: expected an even size along axis 1, got f32[2,3]");
}

}  // namespace
}  // namespace linnet::activation_test
