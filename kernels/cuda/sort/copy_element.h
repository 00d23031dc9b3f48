// Elements of any type by their size.
#pragma once

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

LINNET_DEVICE void copy_element(int bytes, const void* from, int64_t from_at, void* to,
                                int64_t to_at) {
  switch (bytes) {
    case 1:
      static_cast<uint8_t*>(to)[to_at] = static_cast<const uint8_t*>(from)[from_at];
      return;
    case 2:
      static_cast<uint16_t*>(to)[to_at] = static_cast<const uint16_t*>(from)[from_at];
      return;
    case 4:
      static_cast<uint32_t*>(to)[to_at] = static_cast<const uint32_t*>(from)[from_at];
      return;
    default:
      static_cast<uint64_t*>(to)[to_at] = static_cast<const uint64_t*>(from)[from_at];
  }
}

}  // namespace linnet::cuda
