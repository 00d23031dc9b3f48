#include "kernels/cuda/register/row_kernels.h"

#include <algorithm>

namespace linnet::cuda {
namespace {

// Rows that are not kept are shared by a warp up to this length, if there is the choice.
constexpr int64_t kMostOfWarp = 1024;

bool takes(const RowKernel& kernel, DType dtype, int64_t columns, size_t alignment) {
  if (kernel.dtype != dtype) return false;
  const size_t bytes = size_of(dtype) * static_cast<size_t>(kernel.width);
  if (kernel.width > 1 && (columns % kernel.width != 0 || alignment < bytes)) return false;
  if (kernel.count == 0) return kernel.row_threads > 32 || columns <= kMostOfWarp;
  return columns <= int64_t{kernel.row_threads} * kernel.width * kernel.count;
}

}  // namespace

size_t common_alignment(const KernelRequest& request, bool like_first) {
  size_t alignment = request.inputs[0].alignment;
  for (const auto& views : {request.inputs, request.outputs}) {
    for (const OperandView& view : views) {
      if (!like_first || std::ranges::equal(view.shape, request.inputs[0].shape))
        alignment = std::min(alignment, view.alignment);
    }
  }
  return alignment;
}

const RowKernel* row_kernel(std::span<const RowKernel> kernels, DType dtype, int64_t columns,
                            size_t alignment) {
  for (const RowKernel& kernel : kernels) {
    if (takes(kernel, dtype, columns, alignment)) return &kernel;
  }
  return nullptr;
}

const RowKernel* row_kernel(std::span<const RowKernel> kernels, const KernelRequest& request,
                            int64_t columns) {
  return row_kernel(kernels, request.inputs[0].dtype, columns, common_alignment(request, true));
}

}  // namespace linnet::cuda
