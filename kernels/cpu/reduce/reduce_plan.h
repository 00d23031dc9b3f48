// How a reduction over a strided tensor is walked: loops ordered by stride, merged where possible,
// and cut into tasks that depend on the shape alone.
#pragma once

#include <cstdint>
#include <span>

#include "linnet/small_vector.h"

namespace linnet::cpu {

struct LoopDimension {
  int64_t size = 1;
  int64_t in_stride = 0;
  int64_t out_stride = 0;  // 0 for a reduced dimension
  bool reduced = false;
};
using LoopDimensions = SmallVector<LoopDimension, 6>;

/// Columns of one task: bounds the accumulators, which live on the stack.
inline constexpr int64_t kReduceTile = 2048;

/// The walk of one reduction. The innermost loop is either a run (a reduced dimension, one
/// accumulator) or columns (a kept dimension, one accumulator per column, in tiles).
struct ReducePlan {
  LoopDimensions kept;     // outer kept loops
  LoopDimensions reduced;  // outer reduced loops; for columns the last one gives the rows
  LoopDimension inner;
  int64_t units = 1;  // independent results: kept positions times column tiles
  int64_t tiles = 1;
  int64_t splits = 1;    // parts each unit's work is cut into, combined in order
  int split_index = -1;  // which of `reduced` is cut; -1 is the inner run

  int64_t tile_width(int64_t tile) const;
};

ReducePlan plan_reduction(std::span<const int64_t> shape, std::span<const int64_t> strides,
                          uint64_t axes_mask);

/// Calls `visit(offset)` for every position of the loops, outermost first.
template <class F>
void for_each_offset(const LoopDimensions& loops, size_t depth, int64_t offset, F&& visit) {
  if (depth == loops.size()) {
    visit(offset);
    return;
  }
  for (int64_t i = 0; i < loops[depth].size; ++i) {
    for_each_offset(loops, depth + 1, offset + i * loops[depth].in_stride, visit);
  }
}

/// Offsets into operand and result of one position of the kept loops, counted row-major.
struct KeptOffset {
  int64_t in = 0;
  int64_t out = 0;
};
KeptOffset kept_offset(const LoopDimensions& kept, int64_t position);

}  // namespace linnet::cpu
