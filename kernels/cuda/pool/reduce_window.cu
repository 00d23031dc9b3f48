// Sums and extremes under sliding windows: a thread for a pack of channels of a window.
#include "kernels/cuda/pool/windows.cuh"

namespace linnet::cuda {

template <int kWidth, class T>
LINNET_DEVICE void reduce_window_packs(const PoolArgs& args) {
  const PoolShape& shape = args.shape;
  const int64_t i = int64_t{block_x()} * kPoolThreads + thread();
  if (i >= shape.out_count) return;
  const PoolPlace place = pool_place(shape, shape.out, i);
  const T* const x =
      static_cast<const T*>(args.x.get()) + place.batch * shape.in_batch + place.channel * kWidth;
  const Fold kind = args.kind;
  Accumulator<T> totals[kWidth];
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) totals[v] = fold_identity<T>(kind);
  for_elements_under(shape, place.at, [&](int32_t offset) {
    const Pack<T, kWidth> pack = load_pack<kWidth>(x + offset);
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) totals[v] = fold(kind, totals[v], to_accumulator(pack[v]));
  });
  Pack<T, kWidth> result;
  LINNET_UNROLL
  for (int v = 0; v < kWidth; ++v) result[v] = from_accumulator<T>(totals[v]);
  store_pack<kWidth>(static_cast<T*>(args.y.get()) + i * kWidth, result);
}

#define LINNET_POOL(name, T)                                    \
  LINNET_KERNEL(reduce_window_##name, PoolArgs, kPoolThreads) { \
    if (args.shape.packed)                                      \
      reduce_window_packs<kPack<T>, T>(args);                   \
    else                                                        \
      reduce_window_packs<1, T>(args);                          \
  }
LINNET_POOL_KERNELS(LINNET_POOL)

}  // namespace linnet::cuda
