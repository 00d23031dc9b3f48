#include "kernels/cuda/elementwise/packing.h"

#include <algorithm>

namespace linnet::cuda {
namespace {

/// Bytes that a pack's address is a multiple of.
int64_t pack_alignment(const OperandView& view, int elements) {
  return std::min<int64_t>(16, static_cast<int64_t>(size_of(view.dtype)) * elements);
}

bool is_aligned(const OperandView& view, int elements) {
  return static_cast<int64_t>(view.alignment) >= pack_alignment(view, elements);
}

}  // namespace

bool can_pack(const KernelRequest& request, const cpu::StridedSpace& space, int elements) {
  const size_t rank = space.rank();
  if (rank > 1 && space.inner_size() % elements != 0) return false;
  for (size_t k = 0; k < request.inputs.size(); ++k) {
    const OperandView& view = request.inputs[k];
    if (rank == 0 || space.inner_stride(k) == 0) continue;
    if (space.inner_stride(k) != 1 || !is_aligned(view, elements)) return false;
    const auto element = static_cast<int64_t>(size_of(view.dtype));
    for (size_t d = 0; d + 1 < rank; ++d) {
      if (space.stride(k, d) * element % pack_alignment(view, elements) != 0) return false;
    }
  }
  return std::all_of(request.outputs.begin(), request.outputs.end(),
                     [&](const OperandView& view) { return is_aligned(view, elements); });
}

}  // namespace linnet::cuda
