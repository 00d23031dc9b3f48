// Whether operands can be read in packs of neighbouring elements.
#pragma once

#include "kernels/cuda/copy/layout.h"
#include "linnet/kernel.h"

namespace linnet::cuda {

/// Whether all operands of an elementwise request, whose strides `space` has in this order, and the
/// results can be read and written in packs of `elements`. An operand may be one number within a
/// pack. Only a space of one dimension may end within a pack.
bool can_pack(const KernelRequest& request, const cpu::StridedSpace& space, int elements);

/// The same walk in packs: the last dimension is shorter, its strides are longer.
template <int kOperands>
void walk_in_packs(ByteWalk<kOperands>& walk, int elements) {
  if (walk.sizes.empty()) return;
  walk.sizes.back() = (walk.sizes.back() + elements - 1) / elements;
  for (int64_t& stride : walk.strides.back()) stride *= elements;
}

}  // namespace linnet::cuda
