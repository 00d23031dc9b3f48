// Chooses among the instances of a kernel over rows (device/row_instances.h).
//
//   #define X(name, ...) LINNET_ROW_KERNEL(name, __VA_ARGS__)
//   const RowKernel kSoftmax[] = {LINNET_SOFTMAX_KERNELS(X)};
//   #undef X
//   const RowKernel* kernel = row_kernel(kSoftmax, request, columns);
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "linnet/kernel.h"

#define LINNET_ROW_KERNEL(name, dtype, T, threads, row_threads, width, count) \
  {Function(#name, threads), DType::dtype, threads, row_threads, width, count},

namespace linnet::cuda {

struct RowKernel {
  Function function;
  DType dtype;
  int threads;      ///< of a block
  int row_threads;  ///< that share a row
  int width;        ///< elements of an access
  int count;        ///< accesses of a thread; 0: any number

  int rows_per_block() const { return threads / row_threads; }
  Extent grid(int64_t rows) const { return {blocks_for(rows, rows_per_block())}; }
};

/// Positions in a row have 32 bits, and so have the numbers of blocks.
inline constexpr int64_t kMostColumns = (int64_t{1} << 31) - 65536, kMostBlocks = kMostColumns;

/// Bytes that the addresses of all operands and results are multiples of; of those with the shape
/// of the first alone, if `like_first`.
size_t common_alignment(const KernelRequest& request, bool like_first);

/// The first instance for elements of `dtype` and rows of `columns` of them. Null if there is none.
const RowKernel* row_kernel(std::span<const RowKernel> kernels, DType dtype, int64_t columns,
                            size_t alignment);
/// For the first operand, and those of its shape.
const RowKernel* row_kernel(std::span<const RowKernel> kernels, const KernelRequest& request,
                            int64_t columns);

}  // namespace linnet::cuda
