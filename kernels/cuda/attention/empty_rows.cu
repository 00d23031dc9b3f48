#include "kernels/cuda/attention/empty_rows.cuh"

namespace linnet::cuda {

LINNET_KERNEL(attention_visible_rows, VisibleRowsArgs, kAttentionThreads) {
  const int64_t row = int64_t{block_x()} * kAttentionThreads + thread();
  if (row >= args.count) return;
  const float x = args.x.get()[row];
  args.y.get()[row] = x < args.limit ? 0.0f : x;
}

#define X(name, dtype, T) \
  LINNET_KERNEL(name, EmptyRowsArgs, kAttentionThreads) { attention_empty_rows<T>(args); }
LINNET_EMPTY_ROWS_KERNELS(X)
#undef X
#define X(name, dtype, T)                                         \
  LINNET_KERNEL(name, EmptyRowsBackwardArgs, kAttentionThreads) { \
    attention_empty_rows_backward<T>(args);                       \
  }
LINNET_EMPTY_ROWS_BACKWARD_KERNELS(X)
#undef X

}  // namespace linnet::cuda
