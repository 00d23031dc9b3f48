// A shape that threads walk through, and where the operands' elements lie. Dimensions that all
// operands run through without a jump are one; strides are in bytes. The host makes it
// (kernels/cuda/copy/layout.h).
#pragma once

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

/// n / divisor for n < 2^31.
LINNET_DEVICE uint32_t quotient(uint32_t n, const Divisor& divisor) {
  return (multiply_high(n, divisor.multiplier) + n) >> divisor.shift;
}

/// Where the element `index` of each of the first kWanted operands lies, from its first one.
template <int kOperands, int kWanted>
LINNET_DEVICE void locate(const IndexSpace<kOperands>& space, uint32_t index,
                          int64_t (&offsets)[kWanted]) {
  LINNET_UNROLL
  for (int k = 0; k < kWanted; ++k) offsets[k] = 0;
  for (int d = space.rank - 1; d > 0; --d) {
    const uint32_t next = quotient(index, space.sizes[d]);
    const int64_t rest = index - next * space.sizes[d].value;
    LINNET_UNROLL
    for (int k = 0; k < kWanted; ++k) offsets[k] += rest * space.strides[d][k];
    index = next;
  }
  LINNET_UNROLL
  for (int k = 0; k < kWanted; ++k) offsets[k] += int64_t{index} * space.strides[0][k];
}

}  // namespace linnet::cuda
