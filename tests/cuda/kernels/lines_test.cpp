// Reductions, arguments of extrema, scans and sorts on the bare machine.
#include <gtest/gtest.h>

#include "core/ops/reduce.h"
#include "core/ops/sort.h"
#include "core/tensor/tensor_impl.h"
#include "cuda/kernels/table_on_machine.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda::lines_test {
namespace {

constexpr int64_t kLengths[] = {0, 1, 31, 32, 33, 1000, 5000};

KernelTable& table() {
  static KernelTable& table = *[] {
    auto* made = new KernelTable;
    register_reduce(*made);
    register_scan(*made);
    register_sort(*made);
    return made;
  }();
  return table;
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 8e-3;
    case DType::kF16:
      return 1e-3;
    case DType::kF32:
      return 1e-6;
    case DType::kF64:
      return 1e-14;
    default:
      return 0;
  }
}

void expect_reduced(const Primitive& primitive, const Axes& axes, const Tensor& x) {
  const ReduceParams params{AxisList{axes}};
  expect_as_on_cpu(table(), primitive, params, {x}, 4 * tolerance(x.dtype()));
}

const Primitive* const kReductions[] = {&reduce_sum_primitive(), &reduce_max_primitive(),
                                        &reduce_min_primitive(), &reduce_prod_primitive()};

TEST(CudaReduce, rows_of_every_length) {
  for (const int64_t length : kLengths) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const Primitive* primitive : {&reduce_sum_primitive(), &reduce_max_primitive()})
        expect_reduced(*primitive, {1}, test_numbers(dtype, {3, length}));
    }
  }
}

TEST(CudaReduce, columns_of_every_length) {
  for (const int64_t length : kLengths)
    expect_reduced(reduce_sum_primitive(), {0}, test_numbers(DType::kF32, {length, 37}));
  expect_reduced(reduce_sum_primitive(), {0}, test_numbers(DType::kBF16, {100, 512}));
  expect_reduced(reduce_sum_primitive(), {0}, test_numbers(DType::kF32, {3, 300}));
}

TEST(CudaReduce, every_dtype_and_kind) {
  for (const DType dtype : kAllDTypes) {
    for (const Primitive* primitive : kReductions) {
      expect_reduced(*primitive, {1}, test_numbers(dtype, {2, 48}));
      expect_reduced(*primitive, {0}, test_numbers(dtype, {48, 16}));
    }
  }
  expect_reduced(reduce_and_primitive(), {1}, test_numbers(DType::kBool, {9, 2}));
  expect_reduced(reduce_or_primitive(), {0}, test_numbers(DType::kBool, {40, 5}));
}

TEST(CudaReduce, nothing_gives_the_identity) {
  for (const DType dtype : kAllDTypes) {
    for (const Primitive* primitive : kReductions)
      expect_reduced(*primitive, {1}, test_numbers(dtype, {3, 0}));
  }
  expect_reduced(reduce_and_primitive(), {1}, test_numbers(DType::kBool, {3, 0}));
}

TEST(CudaReduce, any_axes) {
  const Tensor x = test_numbers(DType::kF32, {4, 5, 6, 8});
  for (const Axes& axes : {Axes{0}, Axes{1}, Axes{2}, Axes{3}, Axes{0, 1}, Axes{0, 2}, Axes{0, 3},
                           Axes{1, 3}, Axes{0, 1, 3}, Axes{1, 2}, Axes{0, 1, 2, 3}, Axes{}})
    expect_reduced(reduce_sum_primitive(), axes, x);
}

TEST(CudaReduce, views) {
  const Tensor x = test_numbers(DType::kF32, {6, 40, 8});
  expect_reduced(reduce_sum_primitive(), {1}, x.transpose({2, 1, 0}));
  expect_reduced(reduce_sum_primitive(), {0, 2}, x.transpose({1, 0, 2}));
  expect_reduced(reduce_max_primitive(), {2}, misaligned(x));
  expect_reduced(reduce_sum_primitive(), {0}, misaligned(x));
  expect_reduced(reduce_sum_primitive(), {1},
                 broadcast_to(test_numbers(DType::kF32, {6, 1}), {6, 70}));
}

TEST(CudaReduce, long_rows_and_columns_take_two_passes) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8, DType::kBool, DType::kF64}) {
    for (const Primitive* primitive : {&reduce_sum_primitive(), &reduce_min_primitive()}) {
      expect_reduced(*primitive, {0, 1}, test_numbers(dtype, {3, 20000}));
      expect_reduced(*primitive, {0}, test_numbers(dtype, {700, 16}));
    }
  }
}

TEST(CudaReduce, nan_wins) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kF64}) {
    for (const Primitive* primitive : {&reduce_max_primitive(), &reduce_min_primitive()}) {
      expect_reduced(*primitive, {1}, test_numbers(dtype, {5, 20}, true));
      expect_reduced(*primitive, {0}, test_numbers(dtype, {20, 5}, true));
    }
  }
}

TEST(CudaArgReduce, first_of_ties_and_of_nan) {
  for (const Primitive* primitive : {&argmax_primitive(), &argmin_primitive()}) {
    for (const DType dtype : kAllDTypes) {
      for (const bool nan : {false, true}) {
        expect_as_on_cpu(table(), *primitive, ArgReduceParams{{1}},
                         {test_numbers(dtype, {3, 70}, nan)});
        expect_as_on_cpu(table(), *primitive, ArgReduceParams{{0}},
                         {test_numbers(dtype, {7, 33}, nan)});
      }
    }
    for (const int64_t length : {1, 31, 32, 33, 1000, 5000}) {
      const Tensor x = test_numbers(DType::kF32, {2, length});
      expect_as_on_cpu(table(), *primitive, ArgReduceParams{{1}}, {x});
      expect_as_on_cpu(table(), *primitive, ArgReduceParams{{0}}, {x.transpose()});
    }
  }
}

TEST(CudaScan, every_length_and_direction) {
  for (const int64_t length : kLengths) {
    for (const bool reverse : {false, true}) {
      for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI32}) {
        const Tensor x = test_numbers(dtype, {3, length});
        expect_as_on_cpu(table(), cumsum_primitive(), CumulativeParams{{1}, reverse}, {x},
                         100 * tolerance(dtype));
        expect_as_on_cpu(table(), cummax_primitive(), CumulativeParams{{1}, reverse}, {x});
      }
      expect_as_on_cpu(table(), cumsum_primitive(), CumulativeParams{{0}, reverse},
                       {test_numbers(DType::kI32, {length, 5})});
    }
  }
}

TEST(CudaScan, every_dtype_and_kind) {
  for (const DType dtype : kAllDTypes) {
    for (const Primitive* primitive :
         {&cumsum_primitive(), &cumprod_primitive(), &cummax_primitive()}) {
      expect_as_on_cpu(table(), *primitive, CumulativeParams{{1}, false},
                       {test_numbers(dtype, {2, 300}, true)}, 100 * tolerance(dtype));
      expect_as_on_cpu(table(), *primitive, CumulativeParams{{1}, true},
                       {misaligned(test_numbers(dtype, {2, 48}))}, 100 * tolerance(dtype));
      expect_as_on_cpu(table(), *primitive, CumulativeParams{{0}, true},
                       {test_numbers(dtype, {9, 10})}, 100 * tolerance(dtype));
    }
  }
}

TEST(CudaScan, long_lines_take_three_launches) {
  for (const bool reverse : {false, true}) {
    for (const DType dtype : {DType::kI32, DType::kI8, DType::kBF16}) {
      expect_as_on_cpu(table(), cummax_primitive(), CumulativeParams{{0}, reverse},
                       {test_numbers(dtype, {70000})});
    }
    expect_as_on_cpu(table(), cumsum_primitive(), CumulativeParams{{1}, reverse},
                     {test_numbers(DType::kI32, {2, 40001})});
  }
}

TEST(CudaScan, many_columns_have_a_thread_each) {
  expect_as_on_cpu(table(), cumsum_primitive(), CumulativeParams{{0}, false},
                   {test_numbers(DType::kI32, {20, 9000})});
}

void expect_sorted(const Tensor& x, int64_t axis) {
  expect_as_on_cpu(table(), sort_primitive(), SortParams{{axis}}, {x});
  expect_as_on_cpu(table(), argsort_primitive(), SortParams{{axis}}, {x});
}

TEST(CudaSort, every_length) {
  for (const int64_t length : kLengths)
    expect_sorted(test_numbers(DType::kF32, {2, length}, true), 1);
  expect_sorted(test_numbers(DType::kI32, {3, 2048}), 1);
  expect_sorted(test_numbers(DType::kI32, {2, 2049}), 1);
}

TEST(CudaSort, every_dtype_is_stable_with_nan_last) {
  for (const DType dtype : kAllDTypes) {
    expect_sorted(test_numbers(dtype, {5, 50}, true), 1);
    expect_sorted(test_numbers(dtype, {50, 6}, true), 0);
    expect_sorted(test_numbers(dtype, {1, 2500}, true), 1);
  }
}

TEST(CudaSort, zeros_of_both_signs_are_equal) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kF64}) {
    const Tensor x = tensor({0.0f, -0.0f, 1.0f, -0.0f, 0.0f, -1.0f}).astype(dtype);
    expect_as_on_cpu(table(), argsort_primitive(), SortParams{{0}}, {x});
  }
}

TEST(CudaSort, views) {
  const Tensor x = test_numbers(DType::kF32, {3, 40, 4});
  expect_sorted(x.transpose(), 1);
  expect_sorted(misaligned(x), 0);
  expect_sorted(test_numbers(DType::kI16, {2300, 3}).transpose(), 1);
  expect_sorted(test_numbers(DType::kI64, {2300, 3}), 0);
}

}  // namespace
}  // namespace linnet::cuda::lines_test
