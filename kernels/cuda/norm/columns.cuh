// The frames of kernels over columns: blocks that walk down a part of the rows, and blocks that put
// the parts together. Sums go in an order that the shape alone decides.
#pragma once

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/norm/columns_args.h"
#include "kernels/cuda/norm/parameter.cuh"

namespace linnet::cuda {

/// What a thread has: `width` columns from `column` on, and the rows of its part from `first_row`
/// on, `row_step` apart.
template <int width>
struct ColumnPlace {
  int64_t first_row, last_row;
  int column, row_step;
  bool inside;

  LINNET_DEVICE explicit ColumnPlace(const ColumnLayout& layout) {
    const int across = layout.across;
    column = (block_x() * across + thread() % across) * width;
    inside = column < layout.columns;
    row_step = kColumnThreads / across;
    const int64_t begin = block_y() * layout.rows_per_part, end = begin + layout.rows_per_part;
    first_row = begin + thread() / across;
    last_row = end < layout.rows ? end : layout.rows;
  }
};

/// Over the threads of a block that have the same columns, in the order of their rows; the first of
/// them gets the result.
template <class P, class Op>
LINNET_DEVICE P reduce_rows(const P& value, int across, Op op) {
  LINNET_SHARED(P, parts, kColumnThreads);
  parts[thread()] = value;
  sync_block();
  P total = value;
  if (thread() < across) {
    for (int i = thread() + across; i < kColumnThreads; i += across) total = op(total, parts[i]);
  }
  sync_block();
  return total;
}

/// A block that adds parts: 32 columns side by side, eight groups of parts.
struct PartsPlace {
  int column, group;
  LINNET_DEVICE PartsPlace() : column(block_x() * kWarp + lane()), group(warp()) {}
};
inline constexpr int kPartGroups = kColumnThreads / kWarp;

}  // namespace linnet::cuda
