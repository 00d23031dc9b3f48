// Dropout: draws a mask and applies it, or leaves it as factors. A word w stands for (w >> 9) /
// 2^23 on [0, 1).
#include "kernels/cuda/random/draws.cuh"

namespace linnet::cuda {

template <class T>
LINNET_DEVICE void dropout(const DropoutArgs& args) {
  using W = Wide<T>;
  const int64_t at = (int64_t{block_x()} * kRandomThreads + thread()) * kRandomPerThread;
  if (at >= args.count) return;
  const WordPair key = load_key(args.key.get(), 0);
  const W keep = static_cast<W>(args.keep);
  const T* x = static_cast<const T*>(args.x.get()) + at;
  Pack<T, kRandomPerThread> values;
  if (args.aligned && at + kRandomPerThread <= args.count) {
    values = load_run(x);
  } else {
    LINNET_UNROLL
    for (int i = 0; i < kRandomPerThread; ++i)
      values[i] = at + i < args.count ? x[i] : from_wide<T>(0);
  }
  Pack<uint8_t, kRandomPerThread> mask;
  LINNET_UNROLL
  for (int i = 0; i < kRandomPerThread; ++i) {
    const uint32_t word = random_word(key, static_cast<uint64_t>(at + i));
    const bool kept = static_cast<int32_t>(word >> 9) < args.threshold;
    values[i] = from_wide<T>(kept ? to_wide(values[i]) / keep : W(0));
    mask[i] = kept;
  }
  store_run(static_cast<T*>(args.y.get()), at, args.count, values);
  store_run(args.mask.get(), at, args.count, mask);
}

#define X(name, dtype, T) \
  LINNET_KERNEL(name, DropoutArgs, kRandomThreads) { dropout<T>(args); }
LINNET_DROPOUT_KERNELS(X)
#undef X

template <class T>
struct DrawFactor {
  int32_t threshold;
  LINNET_DEVICE T operator()(WordPair key, uint64_t position) const {
    const uint32_t word = random_word(key, position);
    return from_wide<T>(static_cast<int32_t>(word >> 9) < threshold ? 1 : 0);
  }
};

#define X(name, dtype, T)                                                                       \
  LINNET_KERNEL(name, DropoutFactorsArgs, kRandomThreads) {                                     \
    draw_numbers(args.keys.get(), args.keys_count, args.count, static_cast<T*>(args.out.get()), \
                 DrawFactor<T>{args.threshold});                                                \
  }
LINNET_DROPOUT_FACTORS_KERNELS(X)
#undef X

}  // namespace linnet::cuda
