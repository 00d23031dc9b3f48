// Small arrays take shorter ways through the strided driver: rows one by one, and in programs one
// loop that is found before it runs. Both do what the general way does, bit for bit.
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <vector>

#include "kernels/cpu/elementwise/elementwise.h"
#include "linnet/shape.h"

namespace linnet::cpu::elementwise_small_test {
namespace {

using Dims = std::vector<int64_t>;

std::vector<float> numbers(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), 0.25f);
  return out;
}

/// a - b by a loop over indices of three dimensions.
std::vector<float> difference(const Dims& shape, const std::vector<float>& a, const Dims& of_a,
                              const std::vector<float>& b, const Dims& of_b) {
  std::vector<float> out;
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j)
      for (int64_t k = 0; k < shape[2]; ++k)
        out.push_back(a[static_cast<size_t>(i * of_a[0] + j * of_a[1] + k * of_a[2])] -
                      b[static_cast<size_t>(i * of_b[0] + j * of_b[1] + k * of_b[2])]);
  return out;
}

TEST(SmallElementwise, rows_with_repeated_operands_are_what_loops_over_indices_give) {
  for (const int64_t columns : {1, 7, 8, 9, 33}) {
    for (const int64_t rows : {1, 3, 31, 32, 33}) {
      for (const int64_t planes : {1, 2}) {
        const Dims shape{planes, rows, columns};
        const Dims dense{rows * columns, columns, 1};
        const int64_t count = planes * rows * columns;
        const std::vector<float> a = numbers(count), b = numbers(count);
        for (const Dims& other :
             {Dims{0, 0, 1}, Dims{0, 1, 0}, Dims{columns, 0, 1}, Dims{0, 0, 0}, Dims{rows, 1, 0}}) {
          std::vector<float> out(static_cast<size_t>(count) + 1, -1);
          const Operand in[] = {{a.data(), dense.data()}, {b.data(), other.data()}};
          elementwise(ScalarOp::kSub, DType::kF32, {}, shape, in, {out.data(), dense.data()});
          EXPECT_EQ(out.back(), -1) << "written behind the end";
          out.pop_back();
          EXPECT_EQ(out, difference(shape, a, dense, b, other))
              << to_string(Shape(shape.begin(), shape.end()));
        }
      }
    }
  }
}

std::optional<OneLoop> loop_for(DType dtype, const Dims& shape, const Dims& a, const Dims& b,
                                const Dims& out) {
  const int64_t* in[] = {a.data(), b.data()};
  return one_loop(ScalarOp::kSub, dtype, shape, in, out.data());
}

TEST(SmallElementwise, neighbours_and_repeated_elements_are_one_loop) {
  const Dims shape{2, 1, 3}, dense{3, 3, 1}, repeated{0, 0, 0};
  const std::vector<float> a = numbers(6);
  const float b = 10;
  std::optional<OneLoop> found = loop_for(DType::kF32, shape, dense, repeated, dense);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->call.count, 6);
  std::vector<float> out(6), expected(6);
  found->call.in[0] = a.data();
  found->call.in[1] = &b;
  found->call.out = out.data();
  found->loop(found->call);
  const Operand in[] = {{a.data(), dense.data()}, {&b, repeated.data()}};
  elementwise(ScalarOp::kSub, DType::kF32, {}, shape, in, {expected.data(), dense.data()});
  EXPECT_EQ(out, expected);
  EXPECT_TRUE(loop_for(DType::kF64, {}, {}, {}, {}));
}

TEST(SmallElementwise, whatever_needs_more_than_one_loop_has_none) {
  const Dims shape{4, 3}, dense{3, 1}, across{1, 4}, row{0, 1};
  EXPECT_TRUE(loop_for(DType::kF32, shape, dense, dense, dense));
  EXPECT_FALSE(loop_for(DType::kF32, shape, dense, across, dense));
  EXPECT_FALSE(loop_for(DType::kF32, shape, dense, row, dense));
  EXPECT_FALSE(loop_for(DType::kF32, shape, dense, dense, across));
  EXPECT_FALSE(loop_for(DType::kF16, shape, dense, dense, dense)) << "which is converted";
  EXPECT_FALSE(loop_for(DType::kF32, {0, 3}, dense, dense, dense));
  EXPECT_FALSE(loop_for(DType::kF32, {int64_t{1} << 22}, {1}, {1}, {1})) << "for many threads";
}

}  // namespace
}  // namespace linnet::cpu::elementwise_small_test
