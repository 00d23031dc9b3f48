// Gather and scatter on the bare machine.
#include <gtest/gtest.h>

#include "core/ops/indexing.h"
#include "cuda/kernels/table_on_machine.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda::index_test {
namespace {

KernelTable& table() {
  static KernelTable& table = *[] {
    auto* made = new KernelTable;
    register_index(*made);
    return made;
  }();
  return table;
}

/// `count` index vectors [count, 1], some of them before and behind `size`, many of them equal.
Tensor row_indices(int64_t count, int64_t size, DType dtype = DType::kI32) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back((i * 7919 + i / 3) % (size + 4) - 2);
  return from_vector(values, {count, 1}).astype(dtype);
}

GatherParams rows_of(const Tensor& x, GatherMode mode) {
  GatherParams p;
  p.offset_dims = {1};
  p.collapsed_slice_dims = {0};
  p.start_index_map = {0};
  p.slice_sizes = {1, x.shape(1)};
  p.mode = mode;
  return p;
}

void expect_gathered(const GatherParams& p, const Tensor& x, const Tensor& indices) {
  expect_as_on_cpu(table(), gather_primitive(), p, {x, indices});
}

TEST(CudaGather, rows_in_every_dtype_and_mode) {
  for (const GatherMode mode :
       {GatherMode::kFill, GatherMode::kClip, GatherMode::kPromiseInBounds}) {
    for (const DType dtype : kAllDTypes) {
      const Tensor x = test_numbers(dtype, {10, 16});
      expect_gathered(rows_of(x, mode), x, row_indices(33, 10));
    }
    const Tensor x = test_numbers(DType::kF32, {10, 7});
    expect_gathered(rows_of(x, mode), x, row_indices(1000, 10, DType::kI64));
    expect_gathered(rows_of(x, mode), misaligned(x), row_indices(5, 10, DType::kU8));
    expect_gathered(rows_of(x, mode), x, row_indices(0, 10));
  }
}

TEST(CudaGather, zero_fill) {
  const Tensor x = test_numbers(DType::kBF16, {10, 8});
  GatherParams p = rows_of(x, GatherMode::kFill);
  p.zero_fill = true;
  expect_gathered(p, x, row_indices(40, 10));
}

TEST(CudaGather, indices_of_every_type) {
  const Tensor x = test_numbers(DType::kF32, {10, 4});
  for (const DType dtype : {DType::kI8, DType::kI16, DType::kI32, DType::kI64, DType::kU8,
                            DType::kU16, DType::kU32, DType::kU64})
    expect_gathered(rows_of(x, GatherMode::kFill), x, row_indices(50, 10, dtype));
}

TEST(CudaGather, windows_at_pairs_of_indices) {
  const Tensor x = test_numbers(DType::kF32, {9, 6, 8});
  GatherParams p;
  p.offset_dims = {0, 2};
  p.collapsed_slice_dims = {1};
  p.start_index_map = {1, 0};
  p.slice_sizes = {3, 1, 8};
  for (const GatherMode mode : {GatherMode::kFill, GatherMode::kClip}) {
    p.mode = mode;
    const Tensor rows = row_indices(20, 6), columns = row_indices(20, 7);
    expect_gathered(p, x, concatenate({rows, columns}, 1));
    expect_gathered(p, x.transpose({1, 2, 0}).transpose({2, 0, 1}),
                    concatenate({rows, columns}, 1));
  }
}

TEST(CudaGather, along_an_axis) {
  const Tensor x = test_numbers(DType::kF32, {5, 12});
  const Tensor at = (test_numbers(DType::kI32, {5, 7}) + 9).reshape({5, 7, 1});
  GatherParams p;
  p.collapsed_slice_dims = {1};
  p.start_index_map = {1};
  p.operand_batching_dims = {0};
  p.indices_batching_dims = {0};
  p.slice_sizes = {1, 1};
  expect_gathered(p, x, at);
}

ScatterParams rows_to(ScatterMode mode) {
  ScatterParams p;
  p.update_window_dims = {1};
  p.inserted_window_dims = {0};
  p.scatter_dims_to_operand_dims = {0};
  p.mode = mode;
  return p;
}

/// Sums of 16 bits are rounded once here and once an update there.
double tolerance(DType dtype) {
  return dtype == DType::kBF16  ? 0.1
         : dtype == DType::kF16 ? 1e-2
         : dtype == DType::kF32 ? 1e-6
                                : 0;
}

void expect_scattered(const ScatterParams& p, const Tensor& x, const Tensor& indices,
                      const Tensor& updates) {
  expect_as_on_cpu(table(), scatter_add_primitive(), p, {x, indices, updates},
                   tolerance(x.dtype()));
  for (const Primitive* extreme : {&scatter_min_primitive(), &scatter_max_primitive()})
    expect_as_on_cpu(table(), *extreme, p, {x, indices, updates});
  expect_as_on_cpu(table(), scatter_mul_primitive(), p, {x, indices, updates},
                   tolerance(x.dtype()));
  expect_as_on_cpu(table(), scatter_primitive(), p, {x, indices, updates});
}

TEST(CudaScatter, rows_in_every_dtype_and_mode) {
  for (const ScatterMode mode : {ScatterMode::kDrop, ScatterMode::kClip}) {
    for (const DType dtype : kAllDTypes) {
      for (const int64_t width : {7, 16}) {
        expect_scattered(rows_to(mode), test_numbers(dtype, {10, width}), row_indices(33, 10),
                         test_numbers(dtype, {33, width}));
      }
    }
  }
}

TEST(CudaScatter, numbers_of_updates) {
  for (const int64_t count : {0, 1, 2, 31, 32, 33, 1000, 5000}) {
    expect_scattered(rows_to(ScatterMode::kDrop), test_numbers(DType::kI32, {300, 4}),
                     row_indices(count, 300), test_numbers(DType::kI32, {count, 4}));
  }
  expect_scattered(rows_to(ScatterMode::kDrop), test_numbers(DType::kF32, {70000, 1}),
                   row_indices(3000, 70000), test_numbers(DType::kF32, {3000, 1}));
}

TEST(CudaScatter, views) {
  const Tensor updates = test_numbers(DType::kF32, {8, 33});
  expect_scattered(rows_to(ScatterMode::kDrop), misaligned(test_numbers(DType::kF32, {10, 8})),
                   row_indices(33, 10), updates.transpose());
}

TEST(CudaScatter, windows_that_overlap) {
  ScatterParams p;
  p.update_window_dims = {1, 2};
  p.scatter_dims_to_operand_dims = {0, 1};
  for (const ScatterMode mode : {ScatterMode::kDrop, ScatterMode::kClip}) {
    p.mode = mode;
    const Tensor at = concatenate({row_indices(20, 6), row_indices(20, 4)}, 1);
    expect_scattered(p, test_numbers(DType::kF32, {8, 8}), at,
                     test_numbers(DType::kF32, {20, 3, 4}));
  }
}

TEST(CudaScatter, one_window_needs_no_order) {
  ScatterParams p;
  p.update_window_dims = {0, 1};
  p.scatter_dims_to_operand_dims = {0};
  p.mode = ScatterMode::kClip;
  expect_scattered(p, test_numbers(DType::kF32, {8, 8}), tensor({3}),
                   test_numbers(DType::kF32, {4, 8}));
}

TEST(CudaScatter, along_an_axis) {
  ScatterParams p;
  p.inserted_window_dims = {1};
  p.scatter_dims_to_operand_dims = {1};
  p.operand_batching_dims = {0};
  p.indices_batching_dims = {0};
  const Tensor at = (test_numbers(DType::kI32, {5, 7}) + 9).reshape({5, 7, 1});
  expect_scattered(p, test_numbers(DType::kF32, {5, 12}), at, test_numbers(DType::kF32, {5, 7}));
}

}  // namespace
}  // namespace linnet::cuda::index_test
