// Starts of slices that the device computes.
#pragma once

#include "kernels/cuda/copy/copy_args.h"
#include "kernels/cuda/device/device.h"
#include "linnet/dtype.h"

namespace linnet::cuda {

/// An integer of a type, as far as 64 signed bits hold it.
LINNET_DEVICE int64_t read_integer(int storage, const char* at) {
  switch (static_cast<DType>(storage)) {
    case DType::kI8:
      return *reinterpret_cast<const int8_t*>(at);
    case DType::kI16:
      return *reinterpret_cast<const int16_t*>(at);
    case DType::kI32:
      return *reinterpret_cast<const int32_t*>(at);
    case DType::kBool:
    case DType::kU8:
      return *reinterpret_cast<const uint8_t*>(at);
    case DType::kU16:
      return *reinterpret_cast<const uint16_t*>(at);
    case DType::kU32:
      return *reinterpret_cast<const uint32_t*>(at);
    case DType::kU64: {
      const uint64_t value = *reinterpret_cast<const uint64_t*>(at);
      constexpr uint64_t kMost = ~uint64_t{0} >> 1;
      return static_cast<int64_t>(value < kMost ? value : kMost);
    }
    default:
      return *reinterpret_cast<const int64_t*>(at);
  }
}

/// Bytes from the beginning of the operand to where the slice begins.
LINNET_DEVICE int64_t start_offset(const DynamicCopyArgs& args) {
  int64_t offset = 0;
  for (int d = 0; d < args.dimensions; ++d) {
    const int64_t start = read_integer(args.storage[d], args.start[d].get());
    const int64_t inside = start < 0 ? 0 : start > args.limit[d] ? args.limit[d] : start;
    offset += inside * args.stride[d];
  }
  return offset;
}

}  // namespace linnet::cuda
