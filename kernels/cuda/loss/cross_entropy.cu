#include "kernels/cuda/loss/cross_entropy.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, threads, row_threads, width, count) \
  LINNET_KERNEL(name, CrossEntropyArgs, threads) {            \
    cross_entropy_rows<T, threads, row_threads, width>(args); \
  }
LINNET_CROSS_ENTROPY_KERNELS(X)
#undef X

#define X(name, dtype, T, threads, row_threads, width, count)          \
  LINNET_KERNEL(name, CrossEntropyBackwardArgs, threads) {             \
    cross_entropy_backward_rows<T, threads, row_threads, width>(args); \
  }
LINNET_CROSS_ENTROPY_BACKWARD_KERNELS(X)
#undef X

#define X(name, dtype, T, threads, row_threads, width, count)      \
  LINNET_KERNEL(name, CrossEntropyBothArgs, threads) {             \
    cross_entropy_both_rows<T, threads, row_threads, width>(args); \
  }
LINNET_CROSS_ENTROPY_BOTH_KERNELS(X)
#undef X

}  // namespace linnet::cuda
