// Window reductions and selections on the bare machine.
#include <gtest/gtest.h>

#include "core/ops/window.h"
#include "cuda/kernels/table_on_machine.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda::pool_test {
namespace {

KernelTable& table() {
  static KernelTable& table = *[] {
    auto* made = new KernelTable;
    register_pool(*made);
    return made;
  }();
  return table;
}

struct Case {
  const char* name;
  Shape shape;
  WindowParams window;
};

WindowParams windows(Shape window, Shape strides, Shape low, Shape high, Shape dilation) {
  WindowParams p;
  const size_t rank = window.size();
  p.window = window;
  p.strides = strides;
  p.padding_low = low;
  p.padding_high = high;
  p.base_dilation = Shape(rank, 1);
  p.window_dilation = dilation;
  return p;
}

std::vector<Case> cases() {
  return {
      {"channels last",
       {2, 6, 7, 8},
       windows({1, 2, 2, 1}, {1, 2, 2, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}, {1, 1, 1, 1})},
      {"overlapping, padded",
       {2, 7, 6, 16},
       windows({1, 3, 3, 1}, {1, 2, 2, 1}, {0, 1, 1, 0}, {0, 1, 0, 0}, {1, 1, 1, 1})},
      {"few channels",
       {2, 7, 6, 3},
       windows({1, 3, 2, 1}, {1, 1, 2, 1}, {0, 2, 0, 0}, {0, 0, 2, 0}, {1, 1, 1, 1})},
      {"channels first",
       {2, 3, 8, 5},
       windows({1, 1, 3, 3}, {1, 1, 2, 1}, {0, 0, 1, 0}, {0, 0, 1, 2}, {1, 1, 1, 1})},
      {"dilated", {1, 12, 4}, windows({1, 3, 1}, {1, 2, 1}, {0, 1, 0}, {0, 2, 0}, {1, 3, 1})},
      {"three dimensions",
       {1, 4, 5, 6, 4},
       windows({1, 2, 3, 2, 1}, {1, 2, 1, 2, 1}, {0, 0, 1, 0, 0}, {0, 0, 1, 0, 0},
               {1, 1, 1, 1, 1})},
      {"negative padding", {9, 4}, windows({2, 1}, {1, 1}, {-2, 0}, {-1, 0}, {1, 1})},
      {"a gap between", {5, 3, 6}, windows({2, 1, 2}, {1, 1, 2}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1})},
  };
}

double tolerance(DType dtype) {
  return dtype == DType::kBF16  ? 2e-2
         : dtype == DType::kF16 ? 2e-3
         : dtype == DType::kF32 ? 1e-6
                                : 1e-14;
}

TEST(CudaPool, sums_and_extremes) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Tensor x = test_numbers(dtype, c.shape, dtype == DType::kF32);
      expect_as_on_cpu(table(), reduce_window_sum_primitive(), c.window, {x}, tolerance(dtype));
      expect_as_on_cpu(table(), reduce_window_max_primitive(), c.window, {x});
      expect_as_on_cpu(table(), reduce_window_min_primitive(), c.window, {x});
    }
  }
}

TEST(CudaPool, every_dtype) {
  for (const DType dtype : kAllDTypes) {
    if (dtype == DType::kBool) continue;
    for (const int64_t channels : {3, 16}) {
      const Tensor x = test_numbers(dtype, {2, 5, channels}, true);
      const WindowParams p = windows({1, 3, 1}, {1, 2, 1}, {0, 1, 0}, {0, 1, 0}, {1, 1, 1});
      expect_as_on_cpu(table(), reduce_window_sum_primitive(), p, {x}, tolerance(dtype));
      expect_as_on_cpu(table(), reduce_window_max_primitive(), p, {misaligned(x)});
      expect_as_on_cpu(table(), reduce_window_min_primitive(), p, {x});
    }
  }
}

TEST(CudaPool, holes_between_elements) {
  WindowParams p = windows({1, 3, 1}, {1, 1, 1}, {0, 2, 0}, {0, 2, 0}, {1, 1, 1});
  p.base_dilation = {1, 2, 1};
  expect_as_on_cpu(table(), reduce_window_sum_primitive(), p,
                   {test_numbers(DType::kF32, {2, 5, 4})}, 1e-6);
  p.window_dilation = {1, 3, 1};
  p.strides = {1, 2, 1};
  expect_as_on_cpu(table(), reduce_window_sum_primitive(), p,
                   {test_numbers(DType::kF32, {2, 5, 3})}, 1e-6);
}

TEST(CudaPool, selections) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kF64, DType::kI32}) {
      for (const bool maximum : {true, false}) {
        const Tensor x = test_numbers(dtype, c.shape, true);
        const SelectParams p{c.window, maximum};
        const Tensor dy = test_numbers(dtype, c.window.out_size(c.shape)) * 2;
        expect_as_on_cpu(table(), select_and_scatter_add_primitive(), p, {dy, x}, tolerance(dtype));
        expect_as_on_cpu(table(), select_and_gather_primitive(), p,
                         {test_numbers(dtype, c.shape) + 3, x});
      }
    }
  }
}

TEST(CudaPool, windows_over_nothing) {
  const WindowParams p = windows({1, 2, 1}, {1, 2, 1}, {0, 2, 0}, {0, 2, 0}, {1, 1, 1});
  const Tensor x = test_numbers(DType::kF32, {2, 0, 4});
  expect_as_on_cpu(table(), reduce_window_sum_primitive(), p, {x});
  expect_as_on_cpu(table(), reduce_window_max_primitive(), p, {x});
  expect_as_on_cpu(table(), select_and_gather_primitive(), SelectParams{p, true}, {x, x});
}

TEST(CudaPool, windows_of_padding_select_nothing) {
  const SelectParams p{windows({1, 2, 1}, {1, 2, 1}, {0, 4, 0}, {0, 4, 0}, {1, 1, 1}), true};
  const Tensor x = test_numbers(DType::kF32, {2, 5, 4});
  const Tensor dy = test_numbers(DType::kF32, p.window.out_size(x.shape()));
  expect_as_on_cpu(table(), select_and_scatter_add_primitive(), p, {dy, x});
  expect_as_on_cpu(table(), select_and_gather_primitive(), p, {x * 3, x});
}

}  // namespace
}  // namespace linnet::cuda::pool_test
