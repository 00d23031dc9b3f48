// Scatters without atomics. Updates that may meet are brought into the order of their targets by a
// stable sort; then one thread combines all updates of a target with one pack of it, in the order
// of the index vectors, and rounds once.
#include "kernels/cuda/device/fold.h"
#include "kernels/cuda/index/scatter_args.h"

namespace linnet::cuda {

LINNET_KERNEL(scatter_targets, ScatterTargetsArgs, kScatterThreads) {
  const int64_t i = int64_t{block_x()} * kScatterThreads + thread();
  if (i >= args.count) return;
  const Offsets<2> at = offsets(args.updates, i);
  int64_t target = at[1];
  const bool inside = add_window_offset(args.vectors, args.indices.get(), at[0], target);
  args.targets.get()[i] = inside ? target : kDropped;
  if (!args.ordered) return;
  args.keys.get()[i] =
      inside ? static_cast<uint32_t>(args.granule.quotient(target)) : args.dropped_key;
  args.at.get()[i] = static_cast<uint32_t>(i);
}

/// Updates `first` to `end` in their order go to one pack at `y`.
template <int kWidth, class T>
LINNET_DEVICE void combine_updates(const ScatterArgs& args, T* y, int64_t first,
                                   int64_t in_window) {
  const T* const updates = static_cast<const T*>(args.updates.get()) + in_window;
  const auto update_at = [&](int64_t p) {
    const int64_t number = args.ordered ? args.at.get()[p] : p;
    return load_pack<kWidth>(updates + offsets(args.from, number)[0]);
  };
  if (args.replaces) {
    store_pack<kWidth>(y, update_at(first));
    return;
  }
  const Pack<T, kWidth> old = load_pack<kWidth>(y);
  Accumulator<T> totals[kWidth];
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) totals[v] = to_accumulator(old[v]);
  const uint32_t key = args.ordered ? args.keys.get()[first] : 0;
  int64_t p = first;
  do {
    const Pack<T, kWidth> update = update_at(p);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v)
      totals[v] = fold(args.kind, totals[v], to_accumulator(update[v]));
    ++p;
  } while (args.ordered && p < args.count && args.keys.get()[p] == key);
  Pack<T, kWidth> result;
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) result[v] = from_accumulator<T>(totals[v]);
  store_pack<kWidth>(y, result);
}

template <int kWidth, class T>
LINNET_DEVICE void scatter_packs(const ScatterArgs& args) {
  const int64_t i = int64_t{block_x()} * kScatterThreads + thread();
  const int64_t p = args.window_count.quotient(i);
  if (p >= args.count) return;
  int64_t number = p;
  if (args.ordered) {
    // The first update of a target combines all of them, the last one replaces.
    const uint32_t* const keys = args.keys.get();
    const int64_t neighbour = args.replaces ? p + 1 : p - 1;
    if (neighbour >= 0 && neighbour < args.count && keys[neighbour] == keys[p]) return;
    number = args.at.get()[p];
  }
  const int64_t target = args.targets.get()[number];
  if (target == kDropped) return;
  const Offsets<2> in_window = offsets(args.window, i - p * args.window_count.size);
  combine_updates<kWidth>(args, static_cast<T*>(args.y.get()) + target + in_window[0], p,
                          in_window[1]);
}

template <class T>
LINNET_DEVICE void scatter(const ScatterArgs& args) {
  if (args.packed)
    scatter_packs<kPack<T>, T>(args);
  else
    scatter_packs<1, T>(args);
}

#define LINNET_SCATTER(name, T) \
  LINNET_KERNEL(scatter_##name, ScatterArgs, kScatterThreads) { scatter<T>(args); }
LINNET_SCATTER_KERNELS(LINNET_SCATTER)

}  // namespace linnet::cuda
