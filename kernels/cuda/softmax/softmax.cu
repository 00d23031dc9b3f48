#include "kernels/cuda/softmax/softmax.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, threads, row_threads, width, count)  \
  LINNET_KERNEL(name, SoftmaxArgs, threads) {                  \
    softmax_rows<T, threads, row_threads, width, count>(args); \
  }
LINNET_SOFTMAX_KERNELS(X)
#undef X

}  // namespace linnet::cuda
