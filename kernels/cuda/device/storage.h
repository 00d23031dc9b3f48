// How element types lie in memory and which type they are computed in: f16 and bf16 in float, bool
// in a byte.
#pragma once

#include "kernels/cuda/device/scalar.h"

namespace linnet::cuda {

struct Bool {
  uint8_t byte;
};

/// From storage to the type of arithmetic, and back: 16-bit floats are rounded, integers wrap.
template <class V, class S>
LINNET_DEVICE V widened(S x) {
  if constexpr (std::is_same_v<S, Bool>) {
    return static_cast<V>(x.byte);
  } else if constexpr (std::is_same_v<V, float>) {
    return to_float(x);
  } else {
    return static_cast<V>(x);
  }
}
template <class S, class V>
LINNET_DEVICE S narrowed(V x) {
  if constexpr (std::is_same_v<S, Bool>) {
    return {static_cast<uint8_t>(x)};
  } else if constexpr (std::is_same_v<V, float>) {
    return from_float<S>(x);
  } else {
    return static_cast<S>(x);
  }
}

/// N elements from or to memory that is aligned to them, at most to 16 bytes.
template <class S, int N>
struct Packs {
  static constexpr int kChunk = N < kPack<S> ? N : kPack<S>;
  Pack<S, kChunk> chunks[N / kChunk];

  LINNET_DEVICE S& operator[](int i) { return chunks[i / kChunk][i % kChunk]; }
  LINNET_DEVICE const S& operator[](int i) const { return chunks[i / kChunk][i % kChunk]; }
  LINNET_DEVICE void load(const char* at) {
    LINNET_UNROLL
    for (int c = 0; c < N / kChunk; ++c)
      chunks[c] = load_pack<kChunk>(reinterpret_cast<const S*>(at) + c * kChunk);
  }
  LINNET_DEVICE void store(char* at) const {
    LINNET_UNROLL
    for (int c = 0; c < N / kChunk; ++c)
      store_pack(reinterpret_cast<S*>(at) + c * kChunk, chunks[c]);
  }
};

}  // namespace linnet::cuda
