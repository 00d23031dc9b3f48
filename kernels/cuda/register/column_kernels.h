// Instances, grids and parameters of the kernels of normalisations.
#pragma once

#include <span>
#include <string>

#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/norm/columns_args.h"
#include "kernels/cuda/register/device_kernel.h"
#include "linnet/kernel.h"

#define LINNET_ACCESS_KERNEL(name, dtype, T, width) \
  {Function(#name, kColumnThreads), DType::dtype, width},
#define LINNET_STATISTICS_KERNEL(name, dtype, W) {Function(#name, kColumnThreads), DType::dtype},

namespace linnet::cuda {

struct AccessKernel {
  Function function;
  DType dtype;
  int width;  ///< elements of an access
};
struct StatisticsKernel {
  Function function;
  DType dtype;  ///< of the statistics
};

/// The widest access that the columns and the alignment of all operands and results allow.
const AccessKernel& access_kernel(std::span<const AccessKernel> kernels,
                                  const KernelRequest& request, int64_t columns);
/// For the statistics of elements of `dtype`.
const Function& statistics_function(std::span<const StatisticsKernel> kernels, DType dtype);

/// How the blocks of a launch cover [rows, columns].
struct ColumnGrid {
  ColumnLayout layout;
  int tiles, parts;
  Extent extent() const { return {static_cast<uint32_t>(tiles), static_cast<uint32_t>(parts)}; }
};
/// @param width elements of an access
/// @param most_blocks about; the same on all devices, since it decides the order of sums
ColumnGrid column_grid(int64_t rows, int64_t columns, int width, int64_t most_blocks);

/// Blocks that add the parts of all columns.
Extent finish_grid(int64_t columns);

/// Bytes of the two arrays [parts, columns] of partial sums.
size_t sums_bytes(DType dtype, int64_t parts, int64_t columns);
/// The second of them.
Address second_sums(DType dtype, int64_t parts, int64_t columns, Address workspace);

/// Of the scale or bias that is operand `index` if it is there.
ParameterKind parameter_kind(const KernelRequest& request, size_t index, bool present);
/// A reason unless the operand is of the statistics' type or of the first operand's.
std::string decline_parameter(const KernelRequest& request, size_t index);
Global<const void> parameter_at(ParameterKind kind, Operands operands, size_t index);

}  // namespace linnet::cuda
