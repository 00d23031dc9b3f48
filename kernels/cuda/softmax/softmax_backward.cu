#include "kernels/cuda/softmax/softmax_backward.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, threads, row_threads, width, count)           \
  LINNET_KERNEL(name, SoftmaxBackwardArgs, threads) {                   \
    softmax_backward_rows<T, threads, row_threads, width, count>(args); \
  }
LINNET_SOFTMAX_BACKWARD_KERNELS(X)
#undef X

}  // namespace linnet::cuda
