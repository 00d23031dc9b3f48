#include "kernels/cuda/norm/norm.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, threads, row_threads, width, count)     \
  LINNET_KERNEL(name, NormArgs, threads) {                        \
    norm_rows<T, threads, row_threads, width, count, true>(args); \
  }
LINNET_LAYER_NORM_KERNELS(X)
#undef X
#define X(name, dtype, T, threads, row_threads, width, count)      \
  LINNET_KERNEL(name, NormArgs, threads) {                         \
    norm_rows<T, threads, row_threads, width, count, false>(args); \
  }
LINNET_RMS_NORM_KERNELS(X)
#undef X

}  // namespace linnet::cuda
