#include <limits>

#include "elementwise_support.h"

namespace linnet::arithmetic_test {
namespace {

using testing::check_derivatives;
using testing::derivative;
using testing::expect_close;
using testing::expect_error;
using testing::expect_tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Arithmetic, J_017_operators_of_every_dtype) {
  for (int i = 1; i < kRealDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    const Tensor a = full({3}, 7, dtype), b = full({3}, 2, dtype);
    expect_tensor(a + b, {dtype, {3}}, {9, 9, 9});
    expect_tensor(a - b, {dtype, {3}}, {5, 5, 5});
    expect_tensor(a * b, {dtype, {3}}, {14, 14, 14});
    expect_tensor(a % b, {dtype, {3}}, {1, 1, 1});
    expect_tensor(floor_divide(a, b), {dtype, {3}}, {3, 3, 3});
    expect_tensor(maximum(a, b), {dtype, {3}}, {7, 7, 7});
    expect_tensor(minimum(a, b), {dtype, {3}}, {2, 2, 2});
    expect_tensor(pow(a, b), {dtype, {3}}, {49, 49, 49});
    expect_tensor(square(a), {dtype, {3}}, {49, 49, 49});
    expect_tensor(abs(a), {dtype, {3}}, {7, 7, 7});
    expect_tensor(sign(a), {dtype, {3}}, {1, 1, 1});
    const DType quotient = is_floating(dtype) ? dtype : DType::kF32;
    expect_tensor(a / b, {quotient, {3}}, {3.5, 3.5, 3.5});
  }
}

TEST(Arithmetic, J_017_floor_division_and_modulo_follow_the_divisor) {
  const Tensor a = tensor({7, -7, 7, -7, 6, -6}), b = tensor({3, 3, -3, -3, 3, -3});
  expect_tensor(floor_divide(a, b), {DType::kI32, {6}}, {2, -3, -3, 2, 2, 2});
  expect_tensor(mod(a, b), {DType::kI32, {6}}, {1, 2, -2, -1, 0, 0});
  expect_tensor(rem(a, b), {DType::kI32, {6}}, {1, -1, 1, -1, 0, 0});
  const Tensor x = a.astype(DType::kF32) + 0.5f, y = b.astype(DType::kF32);
  expect_tensor(floor_divide(x, y), {DType::kF32, {6}}, {2, -3, -3, 2, 2, 1});
  expect_tensor(mod(x, y), {DType::kF32, {6}}, {1.5, 2.5, -1.5, -0.5, 0.5, -2.5});
  expect_tensor(floor_divide(tensor({1.0}), tensor({0.1})), {DType::kF64, {1}},
                {9});  // as Python: 0.1 is above 1/10
}

TEST(Arithmetic, J_017_true_division_of_integers_is_floating) {
  expect_tensor(tensor({1, 2}) / 2, {DType::kF32, {2}}, {0.5, 1});
  expect_tensor(tensor({true}) / tensor({true}), {DType::kF32, {1}}, {1});
  expect_tensor(tensor({1.f, -1.f, 0.f}) / 0, {DType::kF32, {3}}, {kInfinity, -kInfinity, kNan});
  expect_tensor(reciprocal(tensor({4, 2})), {DType::kF32, {2}}, {0.25, 0.5});
}

TEST(Arithmetic, J_017_powers) {
  expect_tensor(pow(tensor({2, -3}), 3), {DType::kI32, {2}}, {8, -27});
  expect_tensor(pow(tensor({2.f, -3.f}), -2), {DType::kF32, {2}}, {0.25, 1.0 / 9}, 1e-7);
  expect_tensor(pow(tensor({4.f, 9.f}), 0.5), {DType::kF32, {2}}, {2, 3}, 1e-6);
  expect_tensor(pow(tensor({2, 3}), tensor({3, 2})), {DType::kI32, {2}}, {8, 9});
  expect_tensor(pow(tensor({2, 3}), 0.5), {DType::kF32, {2}, true},
                {std::sqrt(2.0), std::sqrt(3.0)}, 1e-6);
  expect_tensor(integer_pow(tensor({2.f, 0.f}), 0), {DType::kF32, {2}}, {1, 1});
}

TEST(Arithmetic, J_017_bools_add_as_or_and_multiply_as_and) {
  const Tensor a = tensor({true, true, false, false}), b = tensor({true, false, true, false});
  expect_tensor(a + b, {DType::kBool, {4}}, {1, 1, 1, 0});
  expect_tensor(a * b, {DType::kBool, {4}}, {1, 0, 0, 0});
  expect_error<DTypeError>([&] { a - b; }, "sub: expected a numeric dtype, got bool[4]");
}

TEST(Arithmetic, J_020_clip_and_extrema_propagate_nan) {
  expect_tensor(clip(tensor({-2.f, 0.5f, 2.f, float(kNan)}), -1, 1), {DType::kF32, {4}},
                {-1, 0.5, 1, kNan});
  expect_tensor(maximum(tensor({float(kNan), 1.f}), tensor({1.f, float(kNan)})), {DType::kF32, {2}},
                {kNan, kNan});
  expect_tensor(minimum(tensor({float(kNan), 1.f}), 0), {DType::kF32, {2}}, {kNan, 0});
  expect_tensor(nextafter(tensor({1.f, 1.f}), tensor({2.f, 0.f})), {DType::kF32, {2}},
                {1 + 0x1p-23, 1 - 0x1p-24});
}

TEST(Arithmetic, J_019_binary_functions) {
  expect_tensor(atan2(tensor({1.0, -1.0}), tensor({-1.0, 0.0})), {DType::kF64, {2}},
                {std::atan2(1, -1), std::atan2(-1, 0)}, 1e-15);
  expect_tensor(logaddexp(tensor({1000.0, 0.0, -kInfinity}), tensor({1000.0, 1.0, -kInfinity})),
                {DType::kF64, {3}}, {1000 + std::log(2.0), std::log(1 + std::exp(1.0)), -kInfinity},
                1e-14);
}

TEST(Arithmetic, operations_take_strided_operands) {
  const Tensor x = reshape(arange(0.0, 6.0), {2, 3});
  expect_tensor(transpose(x) + transpose(x) * 10, {DType::kF32, {3, 2}}, {0, 33, 11, 44, 22, 55});
  expect_tensor(exp(transpose(x) * 0), {DType::kF32, {3, 2}}, {1, 1, 1, 1, 1, 1});
  EXPECT_EQ((zeros({0, 3}) + 1).shape(), (Shape{0, 3}));
}

TEST(Arithmetic, derivatives_of_one_operand) {
  const std::vector<double> points = {-2.3, -0.7, 0.4, 1.9};
  check_derivatives([](const Tensor& x) { return neg(x) + 3 * x - (5 - x); }, points);
  check_derivatives([](const Tensor& x) { return abs(x) * x; }, points);
  check_derivatives([](const Tensor& x) { return square(x) * x; }, points, 1e-6);
  check_derivatives([](const Tensor& x) { return reciprocal(x); }, points, 1e-5);
  check_derivatives([](const Tensor& x) { return integer_pow(x, 5); }, points, 1e-5);
  check_derivatives([](const Tensor& x) { return integer_pow(x, -3); }, points, 1e-5);
  check_derivatives([](const Tensor& x) { return clip(x, -1, 1) * x; }, points);
  check_derivatives([](const Tensor& x) { return sign(x) * x; }, points);
}

TEST(Arithmetic, derivatives_in_each_of_two_operands) {
  const std::vector<double> points = {-2.3, -0.7, 0.4, 1.9};
  const Tensor other = tensor({1.3, -0.6, 2.2, 0.8});
  const auto both = [&](auto f, const std::vector<double>& at, const Tensor& fixed) {
    check_derivatives([&](const Tensor& x) { return f(x, fixed); }, at, 1e-5);
    check_derivatives([&](const Tensor& x) { return f(fixed, x); }, at, 1e-5);
  };
  both([](const Tensor& a, const Tensor& b) { return add(a, b) * a; }, points, other);
  both([](const Tensor& a, const Tensor& b) { return sub(a, b) * b; }, points, other);
  both([](const Tensor& a, const Tensor& b) { return mul(a, b); }, points, other);
  both([](const Tensor& a, const Tensor& b) { return div(a, b); }, points, other);
  both([](const Tensor& a, const Tensor& b) { return maximum(a, b) * a; }, points, other);
  both([](const Tensor& a, const Tensor& b) { return minimum(a, b) * b; }, points, other);
  both([](const Tensor& a, const Tensor& b) { return atan2(a, b); }, points, other);
  both([](const Tensor& a, const Tensor& b) { return logaddexp(a, b); }, points, other);
  both([](const Tensor& a, const Tensor& b) { return where(less(a, b), a * b, a + b); }, points,
       other);
  both([](const Tensor& a, const Tensor& b) { return pow(a, b); }, {0.3, 0.9, 1.7, 2.4},
       abs(other));
  both([](const Tensor& a, const Tensor& b) { return rem(a, b) * a; }, {3.1, 4.3, -5.2, 7.7},
       other + 4);
  both([](const Tensor& a, const Tensor& b) { return mod(a, b) * b; }, {3.1, 4.3, -5.2, 7.7},
       other + 4);
}

TEST(Arithmetic, R_008_ties_split_half_and_half) {
  const Tensor x = tensor({1.f, 2.f}), y = tensor({1.f, 2.f});
  for (auto f : {maximum, minimum}) {
    const auto [dx, dy] =
        grad<0, 1>([&](const Tensor& a, const Tensor& b) { return sum(f(a, b)); })(x, y);
    expect_tensor(dx, {DType::kF32, {2}}, {0.5, 0.5});
    expect_tensor(dy, {DType::kF32, {2}}, {0.5, 0.5});
    expect_tensor(jvp([&](const Tensor& a) { return f(a, y); }, x, ones_like(x)).second,
                  {DType::kF32, {2}}, {0.5, 0.5});
  }
  expect_tensor(derivative([](const Tensor& z) { return clip(z, 1, 2); }, x), {DType::kF32, {2}},
                {0.5, 0.5});
}

TEST(Arithmetic, R_008_edges_of_abs_and_pow) {
  expect_tensor(derivative([](const Tensor& x) { return abs(x); }, tensor({0.f, -0.f})),
                {DType::kF32, {2}}, {1, 1});
  const auto pow_by = [](double exponent) {
    return [=](const Tensor& x) { return pow(x, full({2}, exponent, DType::kF32)); };
  };
  expect_tensor(derivative(pow_by(0), tensor({0.f, 3.f})), {DType::kF32, {2}}, {0, 0});
  expect_tensor(derivative(pow_by(1), tensor({0.f, 3.f})), {DType::kF32, {2}}, {1, 1});
  expect_tensor(derivative(pow_by(2), tensor({0.f, 3.f})), {DType::kF32, {2}}, {0, 6}, 1e-6);
  expect_tensor(derivative([](const Tensor& y) { return pow(zeros({2}), y); }, tensor({1.f, 2.f})),
                {DType::kF32, {2}}, {0, 0});
  expect_tensor(derivative([](const Tensor& x) { return pow(x, 2); }, tensor({0.f})),
                {DType::kF32, {1}}, {0});
}

TEST(Arithmetic, where_selects_and_broadcasts) {
  expect_tensor(where(tensor({true, false}), 1, tensor<float>({{2, 3}, {4, 5}})),
                {DType::kF32, {2, 2}}, {1, 3, 1, 5});
  expect_tensor(where(tensor({0, 2}), tensor({1.f, 1.f}), 0), {DType::kF32, {2}}, {0, 1});
  expect_error<ShapeError>([] { where(ones({3}, DType::kBool), ones({2}), 0); },
                           "where: shapes [3] and [2]");
}

TEST(Arithmetic, R_008_branch_not_taken_does_not_leak) {
  const Tensor x = tensor({-1.f, 4.f, 0.f});
  const Tensor positive = greater(x, 0);
  // NaN and infinite values in the branch not taken, and the safe form of a function undefined
  // there.
  expect_tensor(derivative([&](const Tensor& z) { return where(positive, z, full({3}, kNan)); }, x),
                {DType::kF32, {3}}, {0, 1, 0});
  expect_tensor(
      derivative([&](const Tensor& z) { return where(positive, sqrt(where(positive, z, 1)), 0); },
                 x),
      {DType::kF32, {3}}, {0, 0.25, 0});
  // The function's own derivative is infinite at 0 and is multiplied by a zero cotangent.
  const std::vector<float> unsafe =
      derivative([&](const Tensor& z) { return where(greater(z, 0), log(z), 0); }, tensor({0.f}))
          .to_vector<float>();
  EXPECT_TRUE(std::isnan(unsafe[0]));
}

TEST(Arithmetic, J_032_stop_gradient) {
  const Tensor x = tensor({2.f, 3.f});
  expect_tensor(stop_gradient(x), {DType::kF32, {2}}, {2, 3});
  expect_tensor(derivative([](const Tensor& z) { return z * stop_gradient(z); }, x),
                {DType::kF32, {2}}, {2, 3});
  expect_tensor(jvp([](const Tensor& z) { return z * stop_gradient(z); }, x, ones_like(x)).second,
                {DType::kF32, {2}}, {2, 3});
  expect_tensor(vmap([](const Tensor& z) { return stop_gradient(z) * 2; })(x), {DType::kF32, {2}},
                {4, 6});
}

TEST(Arithmetic, optimization_barrier_is_the_identity) {
  const Tensor x = tensor({2.f, 3.f}), y = tensor({1, 2, 3});
  const TensorList out = optimization_barrier({x, y});
  expect_tensor(out[0], {DType::kF32, {2}}, {2, 3});
  expect_tensor(out[1], {DType::kI32, {3}}, {1, 2, 3});
  const auto f = [&](const Tensor& z) {
    const TensorList parts = optimization_barrier({z * z, y, x});
    return parts[0] * parts[2];
  };
  expect_tensor(derivative(f, x), {DType::kF32, {2}}, {8, 18});
  expect_tensor(jvp(f, x, ones_like(x)).second, {DType::kF32, {2}}, {8, 18});
  const auto per_element = [&](const Tensor& z) { return optimization_barrier({z, y})[0] + 1; };
  expect_tensor(vmap(per_element)(x), {DType::kF32, {2}}, {3, 4});
}

TEST(Arithmetic, errors_name_the_operation) {
  expect_error<ShapeError>([] { ones({2}) * ones({3}); },
                           "mul: shapes do not broadcast: f32[2] and f32[3]");
  expect_error<ValueError>([] { Tensor() + 1; }, "an undefined tensor was used");
  expect_error<DTypeError>([] { neg(ones({2}, DType::kBool)); },
                           "neg: expected a numeric dtype, got bool[2]");
}

}  // namespace
}  // namespace linnet::arithmetic_test
