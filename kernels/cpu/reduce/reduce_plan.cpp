#include "kernels/cpu/reduce/reduce_plan.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "kernels/layout/insertion_sort.h"
#include "linnet/error.h"
#include "linnet/shape.h"

namespace linnet::cpu {
namespace {

// Elements per task worth a thread, and the most parts a reduction is cut into. Both are part of
// the order of summation, so they must not depend on the machine.
constexpr int64_t kTaskElements = 65536;
constexpr int64_t kMaxTasks = 256;
// Below this a run costs more in calls than in work; strided columns are faster.
constexpr int64_t kShortRun = 32;

LoopDimensions collect(std::span<const int64_t> shape, std::span<const int64_t> strides,
                       uint64_t axes_mask) {
  LoopDimensions loops(shape.size());
  int64_t out_stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    const bool reduced = (axes_mask >> i) & 1u;
    loops[i] = {shape[i], strides[i], reduced ? 0 : out_stride, reduced};
    if (!reduced) out_stride *= shape[i];
  }
  LoopDimensions used;
  for (const LoopDimension& loop : loops) {
    if (loop.size != 1) used.push_back(loop);
  }
  // A repeated dimension (stride 0) goes outermost: its data is in cache anyway.
  const auto weight = [](const LoopDimension& loop) {
    return loop.in_stride == 0 ? std::numeric_limits<int64_t>::max() : std::abs(loop.in_stride);
  };
  insertion_sort(used.begin(), used.end(), [&](const LoopDimension& a, const LoopDimension& b) {
    return weight(a) > weight(b);
  });
  return used;
}

LoopDimensions merge(const LoopDimensions& loops) {
  LoopDimensions merged;
  for (const LoopDimension& loop : loops) {
    if (!merged.empty()) {
      LoopDimension& outer = merged.back();
      if (outer.reduced == loop.reduced && outer.in_stride == loop.size * loop.in_stride &&
          outer.out_stride == loop.size * loop.out_stride) {
        outer = {outer.size * loop.size, loop.in_stride, loop.out_stride, loop.reduced};
        continue;
      }
    }
    merged.push_back(loop);
  }
  return merged;
}

void choose_inner(LoopDimensions& loops, ReducePlan& plan) {
  plan.inner = {1, 1, 0, true};
  if (loops.empty()) return;
  size_t inner = loops.size() - 1;
  if (inner > 0 && loops[inner].reduced && loops[inner].size < kShortRun &&
      !loops[inner - 1].reduced && loops[inner - 1].size >= kShortRun) {
    --inner;
  }
  plan.inner = loops[inner];
  loops.erase(inner);
}

void choose_splits(int64_t elements, ReducePlan& plan) {
  const int64_t tasks = std::clamp<int64_t>(elements / kTaskElements, 1, kMaxTasks);
  if (plan.units == 0 || plan.units >= tasks) return;
  int64_t longest = plan.inner.reduced ? plan.inner.size : 1;
  for (size_t i = 0; i < plan.reduced.size(); ++i) {
    if (plan.reduced[i].size > longest) {
      longest = plan.reduced[i].size;
      plan.split_index = static_cast<int>(i);
    }
  }
  if (longest > 1) plan.splits = std::min(longest, (tasks + plan.units - 1) / plan.units);
}

}  // namespace

int64_t ReducePlan::tile_width(int64_t tile) const {
  if (inner.reduced) return 1;
  return std::min(kReduceTile, inner.size - tile * kReduceTile);
}

ReducePlan plan_reduction(std::span<const int64_t> shape, std::span<const int64_t> strides,
                          uint64_t axes_mask) {
  if (shape.size() > 64 || shape.size() != strides.size()) {
    throw ShapeError("reduce: expected as many strides as dimensions and at most 64, got shape " +
                     to_string(shape) + " and strides " + to_string(strides));
  }
  LoopDimensions loops = merge(collect(shape, strides, axes_mask));
  ReducePlan plan;
  choose_inner(loops, plan);
  for (const LoopDimension& loop : loops) {
    if (loop.reduced) {
      plan.reduced.push_back(loop);
    } else {
      plan.kept.push_back(loop);
      plan.units *= loop.size;
    }
  }
  if (!plan.inner.reduced) plan.tiles = (plan.inner.size + kReduceTile - 1) / kReduceTile;
  plan.units *= plan.tiles;
  choose_splits(element_count(shape), plan);
  return plan;
}

KeptOffset kept_offset(const LoopDimensions& kept, int64_t position) {
  KeptOffset offset;
  for (size_t i = kept.size(); i-- > 0;) {
    const int64_t index = position % kept[i].size;
    position /= kept[i].size;
    offset.in += index * kept[i].in_stride;
    offset.out += index * kept[i].out_stride;
  }
  return offset;
}

}  // namespace linnet::cpu
