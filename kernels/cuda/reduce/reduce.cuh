// Reductions over any axes. `rows`: the threads of a warp or a block share one result, whose
// elements are next to each other. `columns`: neighbouring threads have neighbouring results.
// The order of operations depends on the launch alone.
#pragma once

#include "kernels/cuda/device/fold.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/reduce/reduce_args.h"

namespace linnet::cuda {

/// Loads that a thread has in flight.
inline constexpr int kReduceChains = 4;

template <class T>
LINNET_DEVICE void store_result(const ReduceArgs& args, int64_t at, Accumulator<T> total) {
  using A = Accumulator<T>;
  void* const y = args.y.get();
  if (args.store == StoreAs::kElement) {
    static_cast<T*>(y)[at] = from_accumulator<T>(total);
  } else if (args.store == StoreAs::kAccumulator) {
    static_cast<A*>(y)[at] = total;
  } else if constexpr (kIsFloat<A> && sizeof(A) == 4) {
    if (args.store == StoreAs::kBf16)
      static_cast<Bf16*>(y)[at] = from_float<Bf16>(total);
    else
      static_cast<Half*>(y)[at] = from_float<Half>(total);
  } else if constexpr (sizeof(A) == 4) {
    if (args.store == StoreAs::kByte)
      static_cast<uint8_t*>(y)[at] = static_cast<uint8_t>(total);
    else
      static_cast<uint16_t*>(y)[at] = static_cast<uint16_t>(total);
  }
}

/// What a block takes of its results' elements.
struct ReducePart {
  int64_t begin, end;
  LINNET_DEVICE explicit ReducePart(const ReduceArgs& args) {
    begin = block_y() * args.part;
    end = begin + args.part < args.length ? begin + args.part : args.length;
  }
};

/// Elements of a pack. Small integers are rare: their packs stay small, and so do their kernels.
template <class T>
inline constexpr int kReduceWidth = kPack<T> > 4 && !kIsHalf<T> ? 4 : kPack<T>;

/// Folds the packs at x + first, first + step, … below `end`, in units of `stride`.
template <int kWidth, class T, class Op>
LINNET_DEVICE Accumulator<T> fold_line(const T* x, int64_t stride, int64_t first, int64_t step,
                                       int64_t end, Op op) {
  Accumulator<T> totals[kReduceChains];
  LINNET_UNROLL
  for (int c = 0; c < kReduceChains; ++c) totals[c] = op.template identity<T>();
  int64_t i = first;
  for (; i + (kReduceChains - 1) * step < end; i += kReduceChains * step) {
    Pack<T, kWidth> packs[kReduceChains];
    LINNET_UNROLL
    for (int c = 0; c < kReduceChains; ++c)
      packs[c] = load_pack<kWidth>(x + (i + c * step) * stride);
    LINNET_UNROLL
    for (int c = 0; c < kReduceChains; ++c) {
      LINNET_UNROLL
      for (int v = 0; v < kWidth; ++v) totals[c] = op(totals[c], to_accumulator(packs[c][v]));
    }
  }
  for (; i < end; i += step) {
    const Pack<T, kWidth> pack = load_pack<kWidth>(x + i * stride);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) totals[0] = op(totals[0], to_accumulator(pack[v]));
  }
  return op(op(totals[0], totals[1]), op(totals[2], totals[3]));
}

/// The same where elements lie along several dimensions.
template <int kWidth, class T, class Op>
LINNET_DEVICE Accumulator<T> fold_walk(const Walk<1>& walk, const T* x, int64_t first, int64_t step,
                                       int64_t end, Op op) {
  Accumulator<T> total = op.template identity<T>();
  for (int64_t i = first; i < end; i += step) {
    const Pack<T, kWidth> pack = load_pack<kWidth>(x + offsets(walk, i)[0]);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) total = op(total, to_accumulator(pack[v]));
  }
  return total;
}

template <int kWidth, class T, class Op>
LINNET_DEVICE Accumulator<T> fold_elements(const ReduceArgs& args, const T* x, int first,
                                           const ReducePart& part, Op op) {
  const int64_t begin = part.begin + first * kWidth, step = int64_t{args.row_lanes} * kWidth;
  if (args.reduced.rank > 1) return fold_walk<kWidth>(args.reduced, x, begin, step, part.end, op);
  const int64_t stride = args.reduced.rank == 1 ? args.reduced.stride[0][0] : 0;
  return fold_line<kWidth>(x, stride, begin, step, part.end, op);
}

template <class T, class Op>
LINNET_DEVICE void reduce_rows(const ReduceArgs& args, Op op) {
  const bool by_warps = args.row_lanes == kWarp;
  const int64_t result =
      by_warps ? int64_t{block_x()} * (kReduceThreads / kWarp) + warp() : int64_t{block_x()};
  if (result >= args.results) return;  // a whole warp, in launches without barriers
  const Offsets<2> at = offsets(args.kept, result);
  const T* const x = static_cast<const T*>(args.x.get()) + at[0];
  const ReducePart part(args);
  const int first = by_warps ? lane() : thread();
  Accumulator<T> total;
  if (args.packed)
    total = fold_elements<kReduceWidth<T>>(args, x, first, part, op);
  else
    total = fold_elements<1>(args, x, first, part, op);
  if (by_warps)
    total = warp_reduce(total, op);
  else
    total = block_reduce<kReduceThreads>(total, op);
  if (first == 0) {
    store_result<T>(args, args.parts > 1 ? result * args.parts + block_y() : at[1], total);
  }
}

template <int kWidth, class T, class Op>
LINNET_DEVICE void fold_pack(const Pack<T, kWidth>& pack, Op op, Accumulator<T> (&totals)[kWidth]) {
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) totals[v] = op(totals[v], to_accumulator(pack[v]));
}

/// Folds `kWidth` neighbouring results of a thread; the rows are `first`, `first + step`, ….
template <int kWidth, class T, class Op>
LINNET_DEVICE void fold_columns(const ReduceArgs& args, const T* x, int64_t first, int64_t end,
                                Op op, Accumulator<T> (&totals)[kWidth]) {
  const int step = args.groups;
  int64_t row = first;
  if (args.reduced.rank > 1) {
    for (; row < end; row += step)
      fold_pack(load_pack<kWidth>(x + offsets(args.reduced, row)[0]), op, totals);
    return;
  }
  const int64_t stride = args.reduced.rank == 1 ? args.reduced.stride[0][0] : 0;
  for (; row + (kReduceChains - 1) * step < end; row += kReduceChains * step) {
    Pack<T, kWidth> packs[kReduceChains];
    LINNET_UNROLL
    for (int c = 0; c < kReduceChains; ++c)
      packs[c] = load_pack<kWidth>(x + (row + c * step) * stride);
    LINNET_UNROLL
    for (int c = 0; c < kReduceChains; ++c) fold_pack(packs[c], op, totals);
  }
  for (; row < end; row += step) fold_pack(load_pack<kWidth>(x + row * stride), op, totals);
}

template <int kWidth, class T, class Op>
LINNET_DEVICE void reduce_wide_columns(const ReduceArgs& args, Op op) {
  using A = Accumulator<T>;
  constexpr int kGroups = kReduceThreads / kWarp;
  LINNET_SHARED(A, of_groups, kGroups * kWidth * kWarp);
  const int lanes = args.groups == 1 ? kReduceThreads : kWarp;
  const int group = args.groups == 1 ? 0 : warp();
  const int own = args.groups == 1 ? thread() : lane();
  const int64_t result = (int64_t{block_x()} * lanes + own) * kWidth;
  const bool inside = result < args.results;
  const Offsets<2> at = offsets(args.kept, inside ? result : 0);
  const int64_t out_stride = args.kept.rank > 0 ? args.kept.stride[1][args.kept.rank - 1] : 0;
  A totals[kWidth];
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) totals[v] = op.template identity<T>();
  if (inside) {
    const ReducePart part(args);
    fold_columns<kWidth>(args, static_cast<const T*>(args.x.get()) + at[0], part.begin + group,
                         part.end, op, totals);
  }
  const auto store = [&](int v, A total) {
    const int64_t to =
        args.parts > 1 ? (result + v) * args.parts + block_y() : at[1] + v * out_stride;
    if (inside) store_result<T>(args, to, total);
  };
  if (args.groups == 1) {
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) store(v, totals[v]);
    return;
  }
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) of_groups[(group * kWidth + v) * kWarp + own] = totals[v];
  sync_block();
  for (int v = group; v < kWidth; v += kGroups) {
    A total = of_groups[v * kWarp + own];
    LINNET_UNROLL
    for (int g = 1; g < kGroups; ++g) total = op(total, of_groups[(g * kWidth + v) * kWarp + own]);
    store(v, total);
  }
}

template <class T, class Op>
LINNET_DEVICE void reduce_columns(const ReduceArgs& args, Op op) {
  if (args.packed)
    reduce_wide_columns<kReduceWidth<T>, T>(args, op);
  else
    reduce_wide_columns<1, T>(args, op);
}

}  // namespace linnet::cuda
