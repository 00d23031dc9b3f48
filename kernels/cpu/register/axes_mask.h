// The axes of a reduction as kernels take them.
#pragma once

#include <cstdint>

#include "core/ops/reduce.h"

namespace linnet {

/// Bit i is set if axis i is reduced.
inline uint64_t axes_mask(const ReduceParams& params) {
  uint64_t mask = 0;
  for (int64_t axis : params.axes) mask |= uint64_t{1} << axis;
  return mask;
}

}  // namespace linnet
