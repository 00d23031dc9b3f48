#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <sstream>

#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::print_test {
namespace {

TEST(Print, vectors_and_scalars) {
  EXPECT_EQ(to_string(tensor({3.f, 5.f, 7.f})), "Tensor([3, 5, 7], f32[3])");
  EXPECT_EQ(to_string(scalar(0.1, DType::kF64)), "Tensor(0.1, f64[])");
  EXPECT_EQ(to_string(Tensor(2)), "Tensor(2, ~i32[])");
  EXPECT_EQ(to_string(tensor({true, false})), "Tensor([ true, false], bool[2])");
  EXPECT_EQ(to_string(zeros({0, 3})), "Tensor([], f32[0,3])");
  EXPECT_EQ(to_string(Tensor()), "Tensor(undefined)");
}

TEST(Print, columns_are_aligned) {
  EXPECT_EQ(to_string(tensor<float>({{1, -20}, {0.5, 3}})),
            "Tensor([[  1, -20],\n"
            "        [0.5,   3]], f32[2,2])");
  EXPECT_EQ(to_string(reshape(arange(8), {2, 2, 2})),
            "Tensor([[[0, 1],\n"
            "         [2, 3]],\n"
            "\n"
            "        [[4, 5],\n"
            "         [6, 7]]], i32[2,2,2])");
}

TEST(Print, numbers_of_each_kind) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_string(tensor({kInfinity, -kInfinity, kInfinity - kInfinity}).astype(DType::kF32))
                .substr(0, 12),
            "Tensor([ inf");
  EXPECT_EQ(to_string(tensor({1.f / 3}).astype(DType::kF16)), "Tensor([0.3333], f16[1])");
  EXPECT_EQ(to_string(tensor({1.f / 3}).astype(DType::kBF16)), "Tensor([0.334], bf16[1])");
  EXPECT_EQ(to_string(tensor({std::numeric_limits<uint64_t>::max()})),
            "Tensor([18446744073709551615], u64[1])");
  EXPECT_EQ(to_string(tensor({int8_t{-5}})), "Tensor([-5], i8[1])");
}

TEST(Print, large_tensors_are_summarised) {
  EXPECT_EQ(to_string(arange(1001)),
            "Tensor([   0,    1,    2, ...,  998,  999, 1000], i32[1001])");
  const std::string matrix = to_string(zeros({100, 100}));
  EXPECT_EQ(matrix.substr(0, 33), "Tensor([[0, 0, 0, ..., 0, 0, 0],\n");
  EXPECT_NE(matrix.find("\n        ...,\n"), std::string::npos);
  EXPECT_EQ(std::count(matrix.begin(), matrix.end(), '\n'), 6);
  EXPECT_EQ(to_string(arange(1000)).find("..."), std::string::npos);
}

TEST(Print, long_rows_wrap) {
  const std::string text = to_string(arange(100));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 92u);  // the type ends the last one
  EXPECT_NE(text.find(",\n        "), std::string::npos);
}

TEST(Print, views_print_in_their_own_order) {
  EXPECT_EQ(to_string(transpose(tensor<int>({{1, 2}, {3, 4}}))),
            "Tensor([[1, 3],\n"
            "        [2, 4]], i32[2,2])");
}

TEST(Print, traced_values_print_their_type) {
  std::string inside;
  std::optional<Tensor> escaped;
  const Tensor x = tensor({1.f, 2.f, 3.f});
  jvp(
      [&](const Tensor& z) {
        inside = to_string(z);
        escaped = z;
        return z;
      },
      x, x);
  EXPECT_EQ(inside, "Traced<jvp>(f32[3])");
  EXPECT_EQ(to_string(*escaped), "Traced<ended>(f32[3])");
  EXPECT_EQ(to_string(abstract({DType::kI32, {2}})), "Abstract(i32[2])");
  std::ostringstream stream;
  stream << x;
  EXPECT_EQ(stream.str(), to_string(x));
}

}  // namespace
}  // namespace linnet::print_test
