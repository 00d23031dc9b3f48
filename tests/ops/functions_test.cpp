#include <limits>
#include <numbers>

#include "elementwise_support.h"

namespace linnet::functions_test {
namespace {

using testing::check_derivatives;
using testing::derivative;
using testing::expect_close;
using testing::expect_tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Case {
  const char* name;
  Tensor (*function)(const Tensor&);
  double (*reference)(double);
  std::vector<double> points;
};

std::vector<Case> cases() {
  const std::vector<double> line = {-1.7, -0.6, 0.3, 1.1, 2.4};
  const std::vector<double> positive = {0.2, 0.7, 1.3, 4.5};
  const std::vector<double> unit = {-0.8, -0.3, 0.2, 0.7};
  return {
      {"exp", exp, std::exp, line},
      {"exp2", exp2, std::exp2, line},
      {"expm1", expm1, std::expm1, line},
      {"log", log, std::log, positive},
      {"log2", log2, std::log2, positive},
      {"log1p", log1p, std::log1p, positive},
      {"sqrt", sqrt, std::sqrt, positive},
      {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, positive},
      {"cbrt", cbrt, std::cbrt, line},
      {"sin", sin, std::sin, line},
      {"cos", cos, std::cos, line},
      {"tan", tan, std::tan, {-1.1, -0.6, 0.3, 1.2}},
      {"asin", asin, std::asin, unit},
      {"acos", acos, std::acos, unit},
      {"atan", atan, std::atan, line},
      {"sinh", sinh, std::sinh, line},
      {"cosh", cosh, std::cosh, line},
      {"tanh", tanh, std::tanh, line},
      {"asinh", asinh, std::asinh, line},
      {"acosh", acosh, std::acosh, {1.3, 2.2, 5.1}},
      {"atanh", atanh, std::atanh, unit},
      {"erf", erf, std::erf, line},
      {"erfc", erfc, std::erfc, line},
      {"lgamma", lgamma, std::lgamma, {0.4, 1.2, 3.7, -0.6, -1.3}},
      {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, line},
  };
}

TEST(Functions, J_019_values_in_f64_f32_and_16_bits) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    std::vector<double> expected;
    for (double x : c.points) expected.push_back(c.reference(x));
    const Tensor x = from_vector(c.points, {static_cast<int64_t>(c.points.size())});
    expect_tensor(c.function(x), {DType::kF64, x.shape()}, expected, 1e-14);
    expect_tensor(c.function(x.astype(DType::kF32)), {DType::kF32, x.shape()}, expected, 1e-6);
    for (DType half : {DType::kF16, DType::kBF16}) {
      const Tensor rounded = x.astype(half);
      std::vector<double> expected_half;
      for (double point : rounded.to_vector<double>()) expected_half.push_back(c.reference(point));
      expect_tensor(c.function(rounded), {half, x.shape()}, expected_half,
                    half == DType::kF16 ? 0x1p-10 : 0x1p-7);
    }
  }
}

TEST(Functions, J_019_derivatives_of_first_and_second_order) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    check_derivatives(c.function, c.points, 1e-6);
  }
}

TEST(Functions, J_019_erf_inv) {
  const std::vector<double> points = {-0.9, -0.2, 0.4, 0.8};
  const Tensor x = from_vector(points, {4});
  expect_close(erf(erf_inv(x)), points, 1e-13);
  expect_tensor(erf_inv(tensor({1.0, -1.0, 2.0})), {DType::kF64, {3}},
                {kInfinity, -kInfinity, kNan});
  check_derivatives(erf_inv, points, 1e-6);
}

TEST(Functions, J_019_digamma_and_its_derivatives) {
  constexpr double kEuler = std::numbers::egamma;
  // psi(1) = -gamma, psi(1/2) = -gamma - 2 ln 2, psi(-1/2) = psi(1/2) + 2
  const double at_half = -kEuler - 2 * std::numbers::ln2;
  expect_close(digamma(tensor({1.0, 0.5, -0.5})), {-kEuler, at_half, at_half + 2}, 1e-13);
  // psi'(1) = pi^2/6, psi'(1/2) = pi^2/2, psi'(-1/2) = pi^2/2 + 4
  const double pi2 = std::numbers::pi * std::numbers::pi;
  expect_close(derivative(digamma, tensor({1.0, 0.5, -0.5})), {pi2 / 6, pi2 / 2, pi2 / 2 + 4},
               1e-13);
  check_derivatives(digamma, {0.3, 1.6, 12.5, -0.4, -2.7}, 1e-5);
}

TEST(Functions, J_019_edges) {
  const Tensor zero = tensor({0.f});
  expect_tensor(derivative(sqrt, zero), {DType::kF32, {1}}, {kInfinity});
  expect_tensor(derivative(cbrt, zero), {DType::kF32, {1}}, {kInfinity});
  expect_tensor(derivative(log, zero), {DType::kF32, {1}}, {kInfinity});
  expect_tensor(log(tensor({0.f, -1.f})), {DType::kF32, {2}}, {-kInfinity, kNan});
  expect_tensor(exp(tensor({1000.f, -1000.f})), {DType::kF32, {2}}, {kInfinity, 0});
  expect_tensor(tanh(tensor({100.f, -100.f})), {DType::kF32, {2}}, {1, -1});
  expect_tensor(sigmoid(tensor({-1000.f, 1000.f})), {DType::kF32, {2}}, {0, 1});
  expect_tensor(derivative([](const Tensor& x) { return logaddexp(x, -kInfinity); },
                           tensor({-kInfinity, 0.0})),
                {DType::kF64, {2}}, {0.5, 1});
}

TEST(Functions, integers_become_f32_first) {
  expect_tensor(sqrt(tensor({4, 9})), {DType::kF32, {2}}, {2, 3});
  expect_tensor(exp(tensor({false})), {DType::kF32, {1}}, {1});
  expect_tensor(sqrt(full({1}, 4, DType::kI64)), {DType::kF32, {1}}, {2});
}

TEST(Functions, J_020_rounding) {
  const Tensor x = tensor({-1.5f, -0.5f, 0.5f, 1.5f, 2.5f, 2.7f});
  expect_tensor(round(x), {DType::kF32, {6}}, {-2, 0, 0, 2, 2, 3});
  expect_tensor(floor(x), {DType::kF32, {6}}, {-2, -1, 0, 1, 2, 2});
  expect_tensor(ceil(x), {DType::kF32, {6}}, {-1, 0, 1, 2, 3, 3});
  expect_tensor(trunc(x), {DType::kF32, {6}}, {-1, 0, 0, 1, 2, 2});
  expect_tensor(round(tensor({3})), {DType::kI32, {1}}, {3});
  for (auto f : {round, floor, ceil, trunc})
    expect_tensor(derivative(f, x), {DType::kF32, {6}}, {0, 0, 0, 0, 0, 0});
}

TEST(Functions, J_020_nan_to_num) {
  const Tensor x = tensor({float(kNan), float(kInfinity), float(-kInfinity), 1.f});
  const double most = std::numeric_limits<float>::max();
  expect_tensor(nan_to_num(x), {DType::kF32, {4}}, {0, most, -most, 1});
  expect_tensor(nan_to_num(x.astype(DType::kF16)), {DType::kF16, {4}}, {0, 65504, -65504, 1});
  expect_tensor(derivative(nan_to_num, x), {DType::kF32, {4}}, {0, 0, 0, 1});
}

TEST(Functions, derivatives_keep_16_bit_types) {
  for (DType half : {DType::kF16, DType::kBF16}) {
    const Tensor x = full({2}, 0.5, half);
    for (const Case& c : cases()) {
      if (std::string_view(c.name) == "acosh") continue;
      EXPECT_EQ(derivative(c.function, x).dtype(), half) << c.name;
    }
  }
}

}  // namespace
}  // namespace linnet::functions_test
