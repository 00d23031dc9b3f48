// Parameters and names of the scatters.
#pragma once

#include "kernels/cuda/index/index_vectors.h"

namespace linnet::cuda {

inline constexpr int kScatterThreads = 256;
/// The offset of a window that is dropped.
inline constexpr int64_t kDropped = -1;

/// Where each update goes. An update is a window, or, where windows may overlap, one of its
/// elements.
struct ScatterTargetsArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> indices;
  Global<int64_t> targets;  // offsets in the result, or kDropped
  Global<uint32_t> keys;    // targets in units of `granule`, `dropped_key` for dropped ones
  Global<uint32_t> at;      // 0, 1, 2, …
  Walk<2> updates;          // strides in the indices and in the result
  IndexVectors vectors;
  PositionDivisor granule;  // divides all targets
  int64_t count;
  uint32_t dropped_key;
  bool ordered;  // keys are wanted
};

/// Brings updates into the result: all with the same target one after the other, in the order of
/// the index vectors.
struct ScatterArgs {
  static constexpr unsigned kPointers = 5;
  Global<void> y;
  Global<const void> updates;
  Global<const int64_t> targets;
  Global<const uint32_t> keys;  // sorted
  Global<const uint32_t> at;    // in the order of keys
  Walk<1> from;                 // where updates begin
  Walk<2> window;               // elements of a window in the result and in the updates, in packs
  PositionDivisor window_count;
  int64_t count;  // of updates
  Fold kind;      // of bool kMax and kMin, "or" and "and"
  bool ordered;   // targets may be equal
  bool replaces;  // the last update stays
  bool packed;    // 16 bytes along the innermost dimension of windows
};

/// X(name, T)
#define LINNET_SCATTER_KERNELS(X) \
  LINNET_SCATTER_FLOATS(X) LINNET_SCATTER_WORDS(X) LINNET_SCATTER_SIGNED(X)
#define LINNET_SCATTER_FLOATS(X) X(f32, float) X(bf16, Bf16) X(f16, Half) X(f64, double)
/// For what depends on bits alone, or wraps.
#define LINNET_SCATTER_WORDS(X) X(u8, uint8_t) X(u16, uint16_t) X(u32, uint32_t) X(u64, uint64_t)
#define LINNET_SCATTER_SIGNED(X) X(i8, int8_t) X(i16, int16_t) X(i32, int32_t) X(i64, int64_t)

}  // namespace linnet::cuda
