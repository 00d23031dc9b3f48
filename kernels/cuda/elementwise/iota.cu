// Counting along one dimension.
#include "kernels/cuda/elementwise/cast.cuh"
#include "kernels/cuda/elementwise/iota_args.h"

namespace linnet::cuda {

template <class S>
LINNET_DEVICE void store_number(char* to, int64_t at, int64_t number) {
  reinterpret_cast<S*>(to)[at] = narrowed<S>(converted<S>(number));
}

LINNET_KERNEL(iota, IotaArgs, kPointwiseThreads) {
  const int64_t at = int64_t{block_x()} * kPointwiseThreads + thread();
  if (at >= args.count) return;
  const int64_t number = at / args.inner % args.size;
  char* to = args.y.get();
  LINNET_FOR_STORAGE(args.storage, S, store_number<S>(to, at, number))
}

}  // namespace linnet::cuda
