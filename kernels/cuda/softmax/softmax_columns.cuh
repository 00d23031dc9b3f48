// The frame of kernels over an axis that is not the last.
#pragma once

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/softmax/softmax_args.h"

namespace linnet::cuda {

inline constexpr int kTileThreads = 256, kTileGroups = kTileThreads / kWarp;

/// 32 columns of one [axis, inner] matrix; a thread has one of them.
struct ColumnTile {
  int64_t inner, outer, column;
  int axis;
  bool inside;

  LINNET_DEVICE explicit ColumnTile(const SoftmaxColumnsArgs& args)
      : inner(args.inner), axis(args.axis) {
    const int64_t tiles = (inner + kWarp - 1) / kWarp;
    outer = block_x() / tiles;
    column = block_x() % tiles * kWarp + lane();
    inside = column < inner;
  }
  LINNET_DEVICE int64_t at(int i) const { return (outer * axis + i) * inner + column; }
};

/// Over the warps of a block, lane by lane, in their order.
template <class T, class Op>
LINNET_DEVICE T reduce_groups(T value, Op op) {
  LINNET_SHARED(T, parts, kTileThreads);
  parts[thread()] = value;
  sync_block();
  value = parts[lane()];
  for (int i = 1; i < kTileGroups; ++i) value = op(value, parts[i * kWarp + lane()]);
  sync_block();
  return value;
}

}  // namespace linnet::cuda
