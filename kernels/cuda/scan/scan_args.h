// Parameters and names of the cumulative operations.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kScanThreads = 256;
/// The most elements that a thread takes at once, in 16 bytes at most.
inline constexpr int kScanMostItems = 8;

/// Lines are cut into segments, counted in the order of the scan.
enum class ScanStep : uint8_t {
  kScan,    ///< y = the scan of a segment, on top of what the segments before it amount to
  kTotals,  ///< partial[line][segment] = what the segment amounts to
};

struct ScanArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;
  Global<void> y;
  Global<void> partial;  // accumulators [lines][segments]; for kScan, their scan
  Walk<2> lines;         // where lines begin in x and in y
  int64_t count;         // of lines
  int64_t length;        // of a line
  int64_t stride, out_stride;
  int64_t segment;   // elements; a multiple of what the threads of a line take at once
  int32_t segments;  // of a line
  int32_t lanes;     // threads of a line: 1, a warp, or the block
  Fold kind;
  ScanStep step;
  bool reverse;
  bool packed;  // a thread's elements are loaded and stored at once
};

/// X(name, T)
#define LINNET_SCAN_KERNELS(X) \
  X(f32, float)                \
  X(bf16, Bf16)                \
  X(f16, Half)                 \
  X(f64, double)               \
  X(i8, int8_t)                \
  X(i16, int16_t)              \
  X(i32, int32_t) X(i64, int64_t) X(u8, uint8_t) X(u16, uint16_t) X(u32, uint32_t) X(u64, uint64_t)

}  // namespace linnet::cuda
