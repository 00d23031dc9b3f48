// result[i…] = x[start of the index vector + position in the slice]: a thread for a word. Threads
// of one slice read the same vector, which the cache serves.
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/index/gather_args.h"

namespace linnet::cuda {

template <class T, int kWidth>
LINNET_DEVICE void gather(const GatherArgs& args) {
  const int64_t i = int64_t{block_x()} * kGatherThreads + thread();
  if (i >= args.count) return;
  const Offsets<2> at = offsets(args.result, i);
  int64_t from = at[0];
  Pack<T, kWidth> word;
  if (add_window_offset(args.vectors, args.indices.get(), at[1], from)) {
    word = load_pack<kWidth>(static_cast<const T*>(args.x.get()) + from * kWidth);
  } else {
    LINNET_UNROLL
    for (int v = 0; v < kWidth; ++v) word[v] = static_cast<T>(args.fill[v]);
  }
  store_pack<kWidth>(static_cast<T*>(args.y.get()) + i * kWidth, word);
}

#define LINNET_GATHER(bytes, T, width) \
  LINNET_KERNEL(gather_##bytes, GatherArgs, kGatherThreads) { gather<T, width>(args); }
LINNET_GATHER_KERNELS(LINNET_GATHER)

}  // namespace linnet::cuda
