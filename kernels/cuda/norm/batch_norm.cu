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
LINNET_KERNEL(batch_norm_moments_of_sums, MomentsOfSumsArgs, kColumnThreads) {
  const int column = block_x() * kColumnThreads + thread();
  if (column >= args.columns) return;
  const double rows = static_cast<double>(args.rows);
  const double mean = static_cast<double>(args.mean.get()[column]) / rows;
  const double variance = static_cast<double>(args.variance.get()[column]) / rows - mean * mean;
  args.mean.get()[column] = static_cast<float>(mean);
  args.variance.get()[column] = static_cast<float>(variance < 0 ? 0 : variance);  // NaN stays
}
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
