// The first extreme element under each window: what lies there in another operand, and the
// gradient, in which every element looks at the windows over it whether they have chosen it. Sums
// are in the order of the windows, without atomics.
#include "kernels/cuda/pool/windows.cuh"

namespace linnet::cuda {

template <class T>
inline constexpr int kSelectPack = kPack<T> < kSelectMostPack ? kPack<T> : kSelectMostPack;

template <int kWidth, class T>
LINNET_DEVICE void select_gather_packs(const SelectArgs& args) {
  using A = Accumulator<T>;
  const PoolShape& shape = args.shape;
  const int64_t i = int64_t{block_x()} * kPoolThreads + thread();
  if (i >= shape.out_count) return;
  const PoolPlace place = pool_place(shape, shape.out, i);
  const int64_t begin = place.batch * shape.in_batch + place.channel * kWidth;
  const T* const x = static_cast<const T*>(args.x.get()) + begin;
  const T* const values = static_cast<const T*>(args.values.get()) + begin;
  A best[kWidth];
  Pack<T, kWidth> chosen;  // 0 if nothing lies under the window
  bool any = false;
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) {
    best[v] = A(0);
    chosen[v] = from_accumulator<T>(A(0));
  }
  for_elements_under(shape, place.at, [&](int32_t offset) {
    const Pack<T, kWidth> pack = load_pack<kWidth>(x + offset);
    const Pack<T, kWidth> value = load_pack<kWidth>(values + offset);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) {
      const A here = to_accumulator(pack[v]);
      const bool better = !any || beats(args.maximum, here, best[v]);
      best[v] = better ? here : best[v];
      chosen[v] = better ? value[v] : chosen[v];
    }
    any = true;
  });
  store_pack<kWidth>(static_cast<T*>(args.to.get()) + i * kWidth, chosen);
}

/// Of which channels the element at offset `own` is the first extreme under window `at`: bits.
template <int kWidth, class T>
LINNET_DEVICE unsigned chosen_channels(const SelectArgs& args, const T* x,
                                       const int32_t (&at)[kPoolRank], int32_t own,
                                       const Accumulator<T> (&mine)[kWidth]) {
  unsigned chosen = ~0u;
  for_elements_under(args.shape, at, [&](int32_t offset) {
    if (offset == own) return;
    const Pack<T, kWidth> other = load_pack<kWidth>(x + offset);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) {
      const Accumulator<T> a = mine[v], b = to_accumulator(other[v]);
      const bool stays = offset < own ? beats(args.maximum, a, b) : !beats(args.maximum, b, a);
      if (!stays) chosen &= ~(1u << v);
    }
  });
  return chosen;
}

template <int kWidth, class T>
LINNET_DEVICE void select_scatter_packs(const SelectArgs& args) {
  using A = Accumulator<T>;
  const PoolShape& shape = args.shape;
  const int64_t i = int64_t{block_x()} * kPoolThreads + thread();
  if (i >= shape.in_count) return;
  const PoolPlace place = pool_place(shape, shape.in, i);
  const int64_t channel = place.channel * kWidth;
  const T* const x = static_cast<const T*>(args.x.get()) + place.batch * shape.in_batch + channel;
  const T* const values =
      static_cast<const T*>(args.values.get()) + place.batch * shape.out_batch + channel;
  const Pack<T, kWidth> own_pack =
      load_pack<kWidth>(static_cast<const T*>(args.x.get()) + i * kWidth);
  A mine[kWidth], totals[kWidth];
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) {
    mine[v] = to_accumulator(own_pack[v]);
    totals[v] = A(0);
  }
  int32_t own = 0;
  LINNET_UNROLL
  for (int d = 0; d < kPoolRank; ++d) own += place.at[d] * shape.dimension[d].in_stride;
  int32_t window[kPoolRank];
  for_windows_over(shape, place.at, window, [&](const int32_t(&at)[kPoolRank], int32_t offset) {
    const unsigned chosen = chosen_channels<kWidth, T>(args, x, at, own, mine);
    if (chosen == 0) return;
    const Pack<T, kWidth> value = load_pack<kWidth>(values + offset);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) {
      const A sum = fold_sum(totals[v], to_accumulator(value[v]));
      totals[v] = (chosen >> v & 1u) != 0 ? sum : totals[v];
    }
  });
  Pack<T, kWidth> result;
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) result[v] = from_accumulator<T>(totals[v]);
  store_pack<kWidth>(static_cast<T*>(args.to.get()) + i * kWidth, result);
}

#define LINNET_SELECT(name, T)                                     \
  LINNET_KERNEL(select_gather_##name, SelectArgs, kPoolThreads) {  \
    if (args.shape.packed)                                         \
      select_gather_packs<kSelectPack<T>, T>(args);                \
    else                                                           \
      select_gather_packs<1, T>(args);                             \
  }                                                                \
  LINNET_KERNEL(select_scatter_##name, SelectArgs, kPoolThreads) { \
    if (args.shape.packed)                                         \
      select_scatter_packs<kSelectPack<T>, T>(args);               \
    else                                                           \
      select_scatter_packs<1, T>(args);                            \
  }
LINNET_SELECT_KERNELS(LINNET_SELECT)

}  // namespace linnet::cuda
