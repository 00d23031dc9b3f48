#include <limits>

#include "elementwise_support.h"

namespace linnet::logic_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Logic, J_018_comparisons_of_every_dtype) {
  for (int i = 0; i < kRealDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    const Tensor a = tensor({0, 1, 1}).astype(dtype), b = tensor({1, 1, 0}).astype(dtype);
    expect_tensor(a == b, {DType::kBool, {3}}, {0, 1, 0});
    expect_tensor(a != b, {DType::kBool, {3}}, {1, 0, 1});
    expect_tensor(a < b, {DType::kBool, {3}}, {1, 0, 0});
    expect_tensor(a <= b, {DType::kBool, {3}}, {1, 1, 0});
    expect_tensor(a > b, {DType::kBool, {3}}, {0, 0, 1});
    expect_tensor(a >= b, {DType::kBool, {3}}, {0, 1, 1});
  }
}

TEST(Logic, J_018_comparisons_promote_and_broadcast) {
  expect_tensor(tensor({1, 2}) < 1.5, {DType::kBool, {2}}, {1, 0});
  expect_tensor(equal(tensor<int>({{1}, {2}}), tensor({1, 2})), {DType::kBool, {2, 2}},
                {1, 0, 0, 1});
  expect_tensor(tensor({kNan, kNan}) == tensor({kNan, 1.f}), {DType::kBool, {2}}, {0, 0});
  expect_tensor(tensor({kNan}) != tensor({kNan}), {DType::kBool, {1}}, {1});
  expect_error<ShapeError>([] { less(ones({2}), ones({3})); }, "lt: shapes do not broadcast");
}

TEST(Logic, J_020_classification) {
  const Tensor x = tensor({1.f, kInfinity, -kInfinity, kNan});
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    expect_tensor(is_nan(x.astype(dtype)), {DType::kBool, {4}}, {0, 0, 0, 1});
    expect_tensor(is_inf(x.astype(dtype)), {DType::kBool, {4}}, {0, 1, 1, 0});
    expect_tensor(is_finite(x.astype(dtype)), {DType::kBool, {4}}, {1, 0, 0, 0});
  }
  expect_tensor(is_finite(tensor({1, 2})), {DType::kBool, {2}}, {1, 1});
  expect_tensor(is_nan(tensor({1, 2})), {DType::kBool, {2}}, {0, 0});
}

TEST(Logic, J_018_bit_operations) {
  const Tensor a = tensor({12, -1}), b = tensor({10, 5});
  expect_tensor(a & b, {DType::kI32, {2}}, {8, 5});
  expect_tensor(a | b, {DType::kI32, {2}}, {14, -1});
  expect_tensor(a ^ b, {DType::kI32, {2}}, {6, -6});
  expect_tensor(~a, {DType::kI32, {2}}, {-13, 0});
  expect_tensor(~tensor({uint8_t{1}}), {DType::kU8, {1}}, {254});
  const Tensor p = tensor({true, true, false}), q = tensor({true, false, false});
  expect_tensor(p & q, {DType::kBool, {3}}, {1, 0, 0});
  expect_tensor(p | q, {DType::kBool, {3}}, {1, 1, 0});
  expect_tensor(p ^ q, {DType::kBool, {3}}, {0, 1, 0});
  expect_tensor(~p, {DType::kBool, {3}}, {0, 0, 1});
  expect_error<DTypeError>([] { ones({2}) & ones({2}); },
                           "and: expected an integer or bool dtype, got f32[2]");
}

TEST(Logic, J_018_shifts) {
  expect_tensor(tensor({1, 3}) << 4, {DType::kI32, {2}}, {16, 48});
  expect_tensor(tensor({-8, 8}) >> 1, {DType::kI32, {2}}, {-4, 4});
  expect_tensor(tensor({0x80000000u}) >> 31, {DType::kU32, {1}}, {1});
  expect_tensor(shift_right_logical(tensor({int8_t{-128}}), 7), {DType::kI8, {1}}, {1});
  expect_tensor(shift_left(tensor({1}), 32), {DType::kI32, {1}}, {0});
  expect_tensor(shift_right_arithmetic(tensor({-5}), 40), {DType::kI32, {1}}, {-1});
}

TEST(Logic, J_018_logical_operations_take_any_dtype) {
  const Tensor a = tensor({0.f, 2.f, 0.f}), b = tensor({1, 1, 0});
  expect_tensor(a && b, {DType::kBool, {3}}, {0, 1, 0});
  expect_tensor(a || b, {DType::kBool, {3}}, {1, 1, 0});
  expect_tensor(!a, {DType::kBool, {3}}, {1, 0, 1});
}

TEST(Logic, comparisons_carry_no_derivative) {
  const Tensor x = tensor({1.f, -1.f});
  expect_tensor(
      testing::derivative([](const Tensor& z) { return z * (z > 0).astype(DType::kF32); }, x),
      {DType::kF32, {2}}, {1, 0});
}

}  // namespace
}  // namespace linnet::logic_test
