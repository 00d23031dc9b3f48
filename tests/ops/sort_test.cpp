// Row J-014 of the inventory: sorting.
#include "linnet/ops.h"

#include "tests/ops/elementwise_support.h"
#include "tests/ops/transform_check.h"

namespace linnet::sort_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_tensor;

TEST(Sort, J_014_ascending_with_nan_last) {
  const Tensor x = tensor({3.f, std::nanf(""), -1.f, 2.f});
  expect_tensor(sort(x), {DType::kF32, {4}}, {-1, 2, 3, std::numeric_limits<double>::quiet_NaN()});
  expect_tensor(argsort(x), {DType::kI32, {4}}, {2, 3, 0, 1});
  expect_tensor(sort(tensor<uint8_t>({200, 3, 7})), {DType::kU8, {3}}, {3, 7, 200});
  expect_tensor(sort(tensor({true, false, true})), {DType::kBool, {3}}, {0, 1, 1});
  EXPECT_EQ(sort(zeros({0, 3})).shape(), (Shape{0, 3}));
  expect_error<ShapeError>([] { sort(scalar(1, DType::kF32)); }, "sort: axis -1 is out of range");
}

TEST(Sort, J_014_stable) {
  const Tensor x = tensor({2, 1, 2, 1, 1});
  expect_tensor(argsort(x), {DType::kI32, {5}}, {1, 3, 4, 0, 2});
  expect_tensor(argsort(tensor({0.f, -0.f, -1.f})), {DType::kI32, {3}}, {2, 0, 1});
}

TEST(Sort, J_014_any_axis_and_view) {
  const Tensor x = tensor({{3.f, 1.f, 2.f}, {0.f, 5.f, -2.f}});
  expect_tensor(sort(x, 0), {DType::kF32, {2, 3}}, {0, 1, -2, 3, 5, 2});
  expect_tensor(argsort(x, 0), {DType::kI32, {2, 3}}, {1, 0, 1, 0, 1, 0});
  expect_tensor(sort(transpose(x)), {DType::kF32, {3, 2}}, {0, 3, 1, 5, -2, 2});
  expect_tensor(sort(flip(x, {1}), 1), {DType::kF32, {2, 3}}, {1, 2, 3, -2, 0, 5});
}

TEST(Sort, Transforms) {
  check_transforms([](const TensorList& a) { return sort(a[0], 1); }, {distinct({3, 5})});
  check_transforms([](const TensorList& a) { return sort(a[0], 0); }, {distinct({4, 2})});
  check_transforms([](const TensorList& a) { return argsort(a[0], 0); }, {distinct({4, 2})},
                   {.derivatives = false});
}

}  // namespace
}  // namespace linnet::sort_test
