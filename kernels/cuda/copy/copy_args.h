// The parameters of kernels that move elements.
#pragma once

#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

inline constexpr int kCopyThreads = 256;
/// Words that a thread of a copy moves, by their size.
template <int bytes>
inline constexpr int kCopyWords = bytes == 16 ? 2 : 4;

/// Operand 0 of the space is read, operand 1 written; positions are words.
struct CopyArgs {
  static constexpr unsigned kPointers = 2;
  Global<const char> x;
  Global<char> y;
  IndexSpace<2> space;
};

/// A copy from, or to, a place that the device computes: `start[d]`, an integer of type `storage`
/// (a DType), moved into [0, limit[d]], times stride[d] bytes for each of `dimensions`.
struct DynamicCopyArgs {
  static constexpr unsigned kPointers = 2 + kMostDimensions;
  Global<const char> x;
  Global<char> y;
  Global<const char> start[kMostDimensions];
  IndexSpace<2> space;
  long long limit[kMostDimensions] = {}, stride[kMostDimensions] = {};
  int storage[kMostDimensions] = {};
  int dimensions = 0;
  int moves_destination = 0;
};

/// y [count] = the element at x, or zero.
struct FillArgs {
  static constexpr unsigned kPointers = 2;
  Global<const char> x;
  Global<char> y;
  long long count = 0;
  int zero = 0;
};

/// Matrices whose columns lie together in x and whose rows do in y. Positions of the space are the
/// matrices; strides are in bytes.
struct TransposeArgs {
  static constexpr unsigned kPointers = 2;
  Global<const char> x;
  Global<char> y;
  IndexSpace<2> space;
  int rows = 0, columns = 0;
  Divisor row_tiles, column_tiles;
  long long column_stride = 0;  ///< of x
  long long row_stride = 0;     ///< of y
};

/// Elements along the side of a tile, by the size of an element.
template <int bytes>
inline constexpr int kTransposeTile = bytes <= 2 ? 64 : 32;

}  // namespace linnet::cuda
