// Parameters of the sorts. Both kinds order pairs of a key (device/order_key.h) and the position of
// its element, so that they are stable.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kSortThreads = 256;
/// The longest line that a block sorts in its shared memory.
inline constexpr int kSortBlockLine = 2048;

struct SortBlockArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;  // elements, or i32 positions
  Walk<2> lines;   // where lines begin in x and in y
  int64_t count;   // of lines
  int64_t stride, out_stride;
  int32_t length;           // of a line
  int32_t capacity;         // the next power of two
  int32_t lines_per_block;  // with capacity (bytes of a key + 4) bytes of shared memory each
  int32_t element_bytes;
  ElementType type;
  bool positions;
};

/// Elements of a block of the radix sort: each warp takes an eighth in rounds of a lane each.
inline constexpr int kRadixRounds = 8;
inline constexpr int kRadixTile = kSortThreads * kRadixRounds;
inline constexpr int kRadixDigits = 256;
inline constexpr int kRadixPlacesThreads = 1024, kRadixPlacesItems = 4;

/// Keys of elements, row-major over lines and positions.
struct RadixKeysArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;
  Global<void> keys;
  Global<uint32_t> at;
  Walk<1> elements;
  PositionDivisor length;
  int64_t count;  // of elements
  ElementType type;
};

/// One pass, by one byte of the keys.
struct RadixArgs {
  static constexpr unsigned kPointers = 5;
  Global<const void> keys;
  Global<const uint32_t> at;
  Global<void> keys_out;
  Global<uint32_t> at_out;
  Global<uint32_t> counts;  // [lines][digits][tiles]; later where each begins in its line
  int64_t length;           // of a line
  int32_t tiles;            // of a line
  int32_t shift;            // of the digit
};

/// Results from the sorted positions.
struct RadixFinishArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;
  Global<void> y;
  Global<const uint32_t> at;
  Walk<2> elements;  // of x and y
  PositionDivisor length;
  int64_t count;
  int32_t element_bytes;
  bool positions;
};

}  // namespace linnet::cuda
