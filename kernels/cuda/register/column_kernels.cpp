#include "kernels/cuda/register/column_kernels.h"

#include <algorithm>
#include <bit>

#include "core/ops/nn.h"
#include "kernels/cuda/register/row_kernels.h"

namespace linnet::cuda {

const AccessKernel& access_kernel(std::span<const AccessKernel> kernels,
                                  const KernelRequest& request, int64_t columns) {
  const DType dtype = request.inputs[0].dtype;
  const size_t alignment = common_alignment(request, false);
  const AccessKernel* kernel = kernels.data();
  const auto fits = [&] {
    const size_t bytes = size_of(dtype) * static_cast<size_t>(kernel->width);
    return kernel->width == 1 || (columns % kernel->width == 0 && alignment >= bytes);
  };
  while (kernel->dtype != dtype || !fits()) ++kernel;
  return *kernel;
}

const Function& statistics_function(std::span<const StatisticsKernel> kernels, DType dtype) {
  const StatisticsKernel* kernel = kernels.data();
  while (kernel->dtype != wide_dtype(dtype)) ++kernel;
  return kernel->function;
}

ColumnGrid column_grid(int64_t rows, int64_t columns, int width, int64_t most_blocks) {
  constexpr int64_t kRowsOfThread = 8;
  const int64_t accesses = (columns + width - 1) / width;
  const int64_t across =
      std::min<int64_t>(32, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(accesses))));
  const int64_t tiles = (accesses + across - 1) / across;
  const int64_t rows_of_block = kColumnThreads / across * kRowsOfThread;
  const int64_t most_parts = std::max<int64_t>(1, most_blocks / tiles);
  int64_t parts = std::clamp<int64_t>((rows + rows_of_block - 1) / rows_of_block, 1, most_parts);
  const int64_t rows_per_part = (rows + parts - 1) / parts;
  parts = (rows + rows_per_part - 1) / rows_per_part;
  return {{rows, rows_per_part, static_cast<int>(columns), static_cast<int>(across)},
          static_cast<int>(tiles),
          static_cast<int>(parts)};
}

Extent finish_grid(int64_t columns) { return {blocks_for(columns, 32)}; }

size_t sums_bytes(DType dtype, int64_t parts, int64_t columns) {
  return 2 * static_cast<size_t>(parts * columns) * size_of(wide_dtype(dtype));
}

Address second_sums(DType dtype, int64_t parts, int64_t columns, Address workspace) {
  return {workspace.word + sums_bytes(dtype, parts, columns) / 2};
}

ParameterKind parameter_kind(const KernelRequest& request, size_t index, bool present) {
  if (!present) return ParameterKind::kAbsent;
  return request.inputs[index].dtype == wide_dtype(request.inputs[0].dtype) ? ParameterKind::kWide
                                                                            : ParameterKind::kLikeX;
}

std::string decline_parameter(const KernelRequest& request, size_t index) {
  const DType dtype = request.inputs[index].dtype, x = request.inputs[0].dtype;
  return dtype == x || dtype == wide_dtype(x)
             ? ""
             : "operand " + std::to_string(index) + " is " + std::string(name_of(dtype)) +
                   " with an x of " + std::string(name_of(x));
}

Global<const void> parameter_at(ParameterKind kind, Operands operands, size_t index) {
  return kind == ParameterKind::kAbsent ? Global<const void>{}
                                        : global<const void>(operands[index]);
}

}  // namespace linnet::cuda
