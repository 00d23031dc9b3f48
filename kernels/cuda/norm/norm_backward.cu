#include "kernels/cuda/norm/norm_backward.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, threads, row_threads, width, count)              \
  LINNET_KERNEL(name, NormBackwardArgs, threads) {                         \
    norm_backward_rows<T, threads, row_threads, width, count, true>(args); \
  }
LINNET_LAYER_NORM_BACKWARD_KERNELS(X)
#undef X
#define X(name, dtype, T, threads, row_threads, width, count)               \
  LINNET_KERNEL(name, NormBackwardArgs, threads) {                          \
    norm_backward_rows<T, threads, row_threads, width, count, false>(args); \
  }
LINNET_RMS_NORM_BACKWARD_KERNELS(X)
#undef X

#define X(name, dtype, T, threads, row_threads, width, count) \
  LINNET_KERNEL(name, NormBackwardArgs, threads) {            \
    norm_gradients<T, threads, width, count, true>(args);     \
  }
LINNET_LAYER_NORM_GRADIENTS_KERNELS(X)
#undef X
#define X(name, dtype, T, threads, row_threads, width, count) \
  LINNET_KERNEL(name, NormBackwardArgs, threads) {            \
    norm_gradients<T, threads, width, count, false>(args);    \
  }
LINNET_RMS_NORM_GRADIENTS_KERNELS(X)
#undef X

}  // namespace linnet::cuda
