// Random bits, and keys from keys.
#include "kernels/cuda/random/draws.cuh"

namespace linnet::cuda {

template <class T>
struct DrawBits {
  LINNET_DEVICE T operator()(WordPair key, uint64_t position) const {
    if constexpr (sizeof(T) == 8)
      return random_wide_word(key, position);
    else
      return static_cast<T>(random_word(key, position));
  }
};
/// The high word of a key comes first in memory.
struct DrawKey {
  LINNET_DEVICE uint64_t operator()(WordPair key, uint64_t position) const {
    const WordPair pair = random_pair(key, position);
    return uint64_t{pair.low} << 32 | pair.high;
  }
};

#define X(name, bytes, T)                                                                       \
  LINNET_KERNEL(name, RandomBitsArgs, kRandomThreads) {                                         \
    draw_numbers(args.keys.get(), args.keys_count, args.count, static_cast<T*>(args.out.get()), \
                 DrawBits<T>());                                                                \
  }
LINNET_RANDOM_BITS_KERNELS(X)
#undef X
#define X(name, bytes, T)                                                                       \
  LINNET_KERNEL(name, RandomBitsArgs, kRandomThreads) {                                         \
    draw_numbers(args.keys.get(), args.keys_count, args.count, static_cast<T*>(args.out.get()), \
                 DrawKey());                                                                    \
  }
LINNET_RANDOM_SPLIT_KERNELS(X)
#undef X

LINNET_KERNEL(random_fold_in, FoldInArgs, kRandomThreads) {
  const int64_t index = int64_t{block_x()} * kRandomThreads + thread();
  if (index >= args.keys_count) return;
  const WordPair folded =
      threefry2x32(load_key(args.keys.get(), index), {0, args.data.get()[index]});
  args.out.get()[2 * index] = folded.high;
  args.out.get()[2 * index + 1] = folded.low;
}

}  // namespace linnet::cuda
