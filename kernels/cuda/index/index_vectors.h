// Index vectors of gather and scatter: where the window of each begins in an operand.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kIndexComponents = 6;

/// How a vector of integers of any type becomes an offset. A window that would not lie inside is
/// moved, or dropped as a whole.
struct IndexVectors {
  ElementType type;
  bool drops;
  int32_t components;
  int64_t component_stride;          // between the numbers of a vector
  int64_t last[kIndexComponents];    // the greatest start, at least 0
  int64_t stride[kIndexComponents];  // of the operand's dimension, in the unit of the offset
};

/// Integers beyond int64 become its maximum.
LINNET_HOST_DEVICE int64_t load_index(ElementType type, const void* indices, int64_t at) {
  switch (type) {
    case ElementType::kI8:
      return static_cast<const int8_t*>(indices)[at];
    case ElementType::kI16:
      return static_cast<const int16_t*>(indices)[at];
    case ElementType::kI64:
      return static_cast<const int64_t*>(indices)[at];
    case ElementType::kU8:
      return static_cast<const uint8_t*>(indices)[at];
    case ElementType::kU16:
      return static_cast<const uint16_t*>(indices)[at];
    case ElementType::kU32:
      return static_cast<const uint32_t*>(indices)[at];
    case ElementType::kU64: {
      const uint64_t index = static_cast<const uint64_t*>(indices)[at];
      return index >> 63 ? 0x7fffffffffffffff : static_cast<int64_t>(index);
    }
    default:
      return static_cast<const int32_t*>(indices)[at];
  }
}

/// Adds the offset of the vector at `at` to `offset`; false if its window is dropped.
LINNET_HOST_DEVICE bool add_window_offset(const IndexVectors& vectors, const void* indices,
                                          int64_t at, int64_t& offset) {
  bool inside = true;
  for (int c = 0; c < vectors.components; ++c) {
    const int64_t start = load_index(vectors.type, indices, at + c * vectors.component_stride);
    const int64_t last = vectors.last[c];
    const int64_t moved = start < 0 ? 0 : start > last ? last : start;
    inside = inside && (moved == start || !vectors.drops);
    offset += moved * vectors.stride[c];
  }
  return inside;
}

}  // namespace linnet::cuda
