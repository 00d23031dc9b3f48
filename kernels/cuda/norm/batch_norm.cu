#include "kernels/cuda/norm/batch_norm.cuh"

namespace linnet::cuda {

#define X(name, dtype, T, width) \
  LINNET_KERNEL(name, ColumnMomentsArgs, kColumnThreads) { batch_norm_moments<T, width>(args); }
LINNET_BATCH_NORM_MOMENTS_KERNELS(X)
#undef X
#define X(name, dtype, W) \
  LINNET_KERNEL(name, FinishMomentsArgs, kColumnThreads) { batch_norm_finish_moments<W>(args); }
LINNET_BATCH_NORM_FINISH_MOMENTS_KERNELS(X)
#undef X
#define X(name, dtype, T, width) \
  LINNET_KERNEL(name, BatchNormArgs, kColumnThreads) { batch_norm_apply<T, width>(args); }
LINNET_BATCH_NORM_APPLY_KERNELS(X)
#undef X

#define X(name, dtype, T, width) \
  LINNET_KERNEL(name, BatchNormSumsArgs, kColumnThreads) { batch_norm_sums<T, width>(args); }
LINNET_BATCH_NORM_SUMS_KERNELS(X)
#undef X
#define X(name, dtype, W) \
  LINNET_KERNEL(name, FinishBatchNormArgs, kColumnThreads) { batch_norm_finish_sums<W>(args); }
LINNET_BATCH_NORM_FINISH_SUMS_KERNELS(X)
#undef X
#define X(name, dtype, T, width)                               \
  LINNET_KERNEL(name, BatchNormBackwardArgs, kColumnThreads) { \
    batch_norm_backward<T, width>(args);                       \
  }
LINNET_BATCH_NORM_BACKWARD_KERNELS(X)
#undef X

}  // namespace linnet::cuda
