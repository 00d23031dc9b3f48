// Parameters and names of the gather.
#pragma once

#include "kernels/cuda/index/index_vectors.h"

namespace linnet::cuda {

inline constexpr int kGatherThreads = 256;

/// In words, which are elements or packs of them along the innermost dimension of the slices.
struct GatherArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;
  Global<const void> indices;
  Global<void> y;
  Walk<2> result;  // strides in x (words) and in the indices (elements)
  IndexVectors vectors;
  int64_t count;     // of words of the result
  uint64_t fill[2];  // a word, for windows that are dropped
};

/// X(bytes of a word, T, elements T)
#define LINNET_GATHER_KERNELS(X) \
  X(1, uint8_t, 1) X(2, uint16_t, 1) X(4, uint32_t, 1) X(8, uint64_t, 1) X(16, uint64_t, 2)

}  // namespace linnet::cuda
