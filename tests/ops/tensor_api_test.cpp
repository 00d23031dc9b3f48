// What daily use writes: axes as numbers and lists, members, lists of values, streams.
#include <gtest/gtest.h>

#include <sstream>

#include "linnet/error.h"
#include "linnet/ops.h"

namespace linnet::tensor_api_test {
namespace {

void expect_values(const Tensor& x, DType dtype, const Shape& shape,
                   const std::vector<double>& wanted) {
  EXPECT_EQ(x.dtype(), dtype);
  EXPECT_EQ(x.shape(), shape);
  EXPECT_EQ(x.to_vector<double>(), wanted);
}

Tensor matrix() { return tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}}); }

TEST(TensorApi, J_021_axes_of_every_reduction) {
  const Tensor x = matrix();
  expect_values(sum(x, 0), DType::kF32, {3}, {5, 7, 9});
  expect_values(mean(x, -1), DType::kF32, {2}, {2, 5});
  expect_values(sum(x, {0, 1}), DType::kF32, {}, {21});
  expect_values(sum(x, {0}), DType::kF32, {3}, {5, 7, 9});
  expect_values(sum(x, {}, true), DType::kF32, {1, 1}, {21});
  expect_values(sum(x, Axes{}), DType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_values(sum(x, std::optional<Axes>(Axes{1})), DType::kF32, {2}, {6, 15});
  const size_t unsigned_axis = 1;
  expect_values(prod(x, unsigned_axis, true), DType::kF32, {2, 1}, {6, 120});
  expect_values(max(x, 1, true), DType::kF32, {2, 1}, {3, 6});
  expect_values(min(x, 0, true), DType::kF32, {1, 3}, {1, 2, 3});
  expect_values(any(x > 5, 1, true), DType::kBool, {2, 1}, {0, 1});
  expect_values(all(x > 1, 0, true), DType::kBool, {1, 3}, {0, 1, 1});
  expect_values(argmax(x, 1, true), DType::kI32, {2, 1}, {2, 2});
  expect_values(argmin(x, {}, true), DType::kI32, {1, 1}, {0});
  expect_values(var(x, 0, true), DType::kF32, {1, 3}, {2.25, 2.25, 2.25});
  expect_values(std_dev(x, {0, 1}, true, 1).astype(DType::kF16), DType::kF16, {1, 1}, {1.87109375});
  expect_values(logsumexp(zeros(1, 1), {0, 1}, true), DType::kF32, {1, 1}, {0});
  EXPECT_EQ(logsumexp(x, -1, true).shape(), (Shape{2, 1}));
  EXPECT_THROW(sum(x, 2), ShapeError);
  EXPECT_THROW(sum(x, {0, 0}), ShapeError);
}

TEST(TensorApi, reductions_as_members) {
  const Tensor x = matrix();
  expect_values(x.sum(), DType::kF32, {}, {21});
  expect_values(x.sum(0), DType::kF32, {3}, {5, 7, 9});
  expect_values(x.mean(-1, true), DType::kF32, {2, 1}, {2, 5});
  expect_values(x.max(), DType::kF32, {}, {6});
  expect_values(x.min(1), DType::kF32, {2}, {1, 4});
  expect_values(x.prod({0, 1}), DType::kF32, {}, {720});
  expect_values((x > 5).any(), DType::kBool, {}, {1});
  expect_values((x > 5).all(0), DType::kBool, {3}, {0, 0, 0});
  expect_values(x.argmax(1), DType::kI32, {2}, {2, 2});
  expect_values(x.argmin(), DType::kI32, {}, {0});
}

TEST(TensorApi, shapes_as_numbers) {
  const Tensor x = matrix();
  expect_values(x.T(), DType::kF32, {3, 2}, {1, 4, 2, 5, 3, 6});
  EXPECT_EQ(x.reshape(3, 2).shape(), (Shape{3, 2}));
  EXPECT_EQ(x.reshape(-1).shape(), (Shape{6}));
  EXPECT_EQ(x.reshape({6, 1}).shape(), (Shape{6, 1}));
  expect_values(zeros(3), DType::kF32, {3}, {0, 0, 0});
  expect_values(ones(1, 2), DType::kF32, {1, 2}, {1, 1});
  EXPECT_EQ(zeros(int64_t{2}, size_t{3}, 1).shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(zeros({2, 3}, DType::kF16).type(), (TensorType{DType::kF16, {2, 3}}));
  EXPECT_THROW(zeros(-1), ShapeError);
}

TEST(TensorApi, indices) {
  const Tensor x = matrix();
  EXPECT_EQ((x[{1, 2}].item<float>()), 6);
  EXPECT_EQ((x[{-1, 0}].item<float>()), 4);
  expect_values(x[{1}], DType::kF32, {3}, {4, 5, 6});
  expect_values(x[1], DType::kF32, {3}, {4, 5, 6});
  EXPECT_THROW((x[{0, 3}]), ShapeError);
  EXPECT_THROW((x[{0, 0, 0}]), ShapeError);
}

// x[0] = 5 would change a temporary.
template <class T>
concept AssignableResult = requires(T x) { x[0] = 5.0f; };
static_assert(!AssignableResult<Tensor> && !std::is_assignable_v<Tensor, Tensor>);
static_assert(std::is_copy_assignable_v<Tensor> && std::is_nothrow_move_assignable_v<Tensor>);

TEST(TensorApi, compound_assignment_renames) {
  Tensor x = tensor({1.f, 2.f});
  const Tensor before = x;
  x += 1;
  x *= tensor({2.f, 3.f});
  x -= 0.5;
  x /= 2;
  expect_values(x, DType::kF32, {2}, {1.75, 4.25});
  expect_values(before, DType::kF32, {2}, {1, 2});
  Tensor whole = tensor({1, 2});
  (whole += 1) += 1;
  expect_values(whole, DType::kI32, {2}, {3, 4});
  whole /= 2;
  expect_values(whole, DType::kF32, {2}, {1.5, 2});
}

TEST(TensorApi, lists_of_values) {
  expect_values(tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}), DType::kI32, {2, 2, 2},
                {1, 2, 3, 4, 5, 6, 7, 8});
  expect_values(tensor({{true, false}, {false, true}}), DType::kBool, {2, 2}, {1, 0, 0, 1});
  expect_values(tensor({1, 2.5}), DType::kF64, {2}, {1, 2.5});
  expect_values(tensor({1, 2.5f}), DType::kF32, {2}, {1, 2.5});
  expect_values(tensor({true, 3}), DType::kI32, {2}, {1, 3});
  expect_values(tensor({1, 3000000000LL}), DType::kI64, {2}, {1, 3000000000.0});
  expect_values(tensor({{1, 2.5f}, {3, 4}}), DType::kF32, {2, 2}, {1, 2.5, 3, 4});
  expect_values(tensor({{{1, 2.5}}, {{3, 4}}}), DType::kF64, {2, 1, 2}, {1, 2.5, 3, 4});
  expect_values(tensor<float>({{1, 2}, {3, 4}}), DType::kF32, {2, 2}, {1, 2, 3, 4});
  expect_values(tensor({{1}, {2}}), DType::kI32, {2, 1}, {1, 2});
  EXPECT_THROW(tensor({{1, 2}, {3}}), ShapeError);
  EXPECT_THROW(tensor({{1, 2.5}, {3}}), ShapeError);
  EXPECT_THROW(tensor({{{1}, {2}}, {{3}}}), ShapeError);
}

TEST(TensorApi, vectors) {
  expect_values(tensor(std::vector<float>{1, 2}), DType::kF32, {2}, {1, 2});
  expect_values(tensor(std::vector<bool>{true, false}), DType::kBool, {2}, {1, 0});
  expect_values(tensor(std::vector<int64_t>()), DType::kI64, {0}, {});
  expect_values(tensor(std::vector<std::vector<double>>{{1, 2}, {3, 4}}), DType::kF64, {2, 2},
                {1, 2, 3, 4});
  expect_values(from_vector(std::vector<bool>{true, false, true, true}, {2, 2}), DType::kBool,
                {2, 2}, {1, 0, 1, 1});
  EXPECT_THROW(from_vector(std::vector<bool>{true}, {2}), ShapeError);
  EXPECT_EQ(tensor({2, 0}).to_vector<bool>(), (std::vector<bool>{true, false}));
}

TEST(TensorApi, every_integer_type_of_the_language) {
  expect_values(tensor({1LL, 2LL}), DType::kI64, {2}, {1, 2});
  expect_values(tensor({1ULL}), DType::kU64, {1}, {1});
  expect_values(tensor({1L}), DType::kI64, {1}, {1});
  expect_values(tensor({'a', 'b'}), std::is_signed_v<char> ? DType::kI8 : DType::kU8, {2},
                {97, 98});
  const Tensor x = tensor({1, 2});
  EXPECT_EQ(x[1].item<long long>(), 2);
  EXPECT_EQ(x[1].item<unsigned long>(), 2u);
  EXPECT_EQ(x[1].item<char>(), 2);
  EXPECT_EQ(x.to_vector<long long>(), (std::vector<long long>{1, 2}));
  EXPECT_EQ(tensor({7LL}).data<long long>()[0], 7);
  EXPECT_EQ(tensor({7L}).data<int64_t>()[0], 7);
}

template <class T>
std::string printed(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

TEST(TensorApi, streams) {
  EXPECT_EQ(printed(Shape{2, 3}), "[2,3]");
  EXPECT_EQ(printed(DType::kBF16), "bf16");
  EXPECT_EQ(printed(TensorType{DType::kF32, {2, 3}}), "f32[2,3]");
  EXPECT_EQ(printed(Tensor(1).type()), "~i32[]");
  EXPECT_EQ(printed(kCpu), "cpu:0");
  EXPECT_EQ(printed(std::optional<Tensor>(tensor({1, 2}))), printed(tensor({1, 2})));
  EXPECT_EQ(printed(std::optional<Tensor>()), "nullopt");
}

}  // namespace
}  // namespace linnet::tensor_api_test
