// Walks of windows: the elements under one, and the windows over an element.
#pragma once

#include "kernels/cuda/device/fold.h"
#include "kernels/cuda/pool/pool_args.h"

namespace linnet::cuda {

/// A pack of channels of one element or window.
struct PoolPlace {
  int64_t batch, channel;  // channel in packs
  int32_t at[kPoolRank];
};

LINNET_DEVICE PoolPlace pool_place(const PoolShape& shape,
                                   const PositionDivisor (&sizes)[kPoolRank], int64_t position) {
  PoolPlace place;
  int64_t outer = shape.channels.quotient(position);
  place.channel = position - outer * shape.channels.size;
  LINNET_UNROLL
  for (int d = kPoolRank - 1; d >= 0; --d) {
    const int64_t next = sizes[d].quotient(outer);
    place.at[d] = static_cast<int32_t>(outer - next * sizes[d].size);
    outer = next;
  }
  place.batch = outer;
  return place;
}

/// Calls visit(offset of the element) for the elements under window `at`, in row-major order, in
/// which offsets increase.
template <int kFrom = 0, class Visit>
LINNET_DEVICE void for_elements_under(const PoolShape& shape, const int32_t (&at)[kPoolRank],
                                      const Visit& visit, int32_t offset = 0) {
  if constexpr (kFrom == kPoolRank) {
    visit(offset);
  } else {
    const PoolDimension& d = shape.dimension[kFrom];
    const int32_t begin = at[kFrom] * d.stride - d.low;
    for (int32_t t = 0; t < d.window; ++t) {
      int32_t place = begin + t * d.dilation;
      if (place < 0) continue;
      if (d.base > 1) {
        if (place % d.base != 0) continue;
        place /= d.base;
      }
      if (place >= d.in) break;
      for_elements_under<kFrom + 1>(shape, at, visit, offset + place * d.in_stride);
    }
  }
}

/// Calls visit(window, its offset) for the windows over element `at`, in row-major order.
template <int kFrom = 0, class Visit>
LINNET_DEVICE void for_windows_over(const PoolShape& shape, const int32_t (&at)[kPoolRank],
                                    int32_t (&window)[kPoolRank], const Visit& visit,
                                    int32_t offset = 0) {
  if constexpr (kFrom == kPoolRank) {
    visit(window, offset);
  } else {
    const PoolDimension& d = shape.dimension[kFrom];
    const int32_t place = at[kFrom] * d.base + d.low;
    const int32_t lowest = place - (d.window - 1) * d.dilation;
    int32_t& o = window[kFrom];
    for (o = lowest <= 0 ? 0 : (lowest + d.stride - 1) / d.stride;
         o < d.out && o * d.stride <= place; ++o) {
      if (d.dilation > 1 && (place - o * d.stride) % d.dilation != 0) continue;
      for_windows_over<kFrom + 1>(shape, at, window, visit, offset + o * d.out_stride);
    }
  }
}

}  // namespace linnet::cuda
