#include "kernels/cuda/reduce/reduce.cuh"

namespace linnet::cuda {

#define LINNET_REDUCE(name, T)                                       \
  LINNET_KERNEL(reduce_rows_##name, ReduceArgs, kReduceThreads) {    \
    reduce_rows<T>(args, GivenFold{args.kind});                      \
  }                                                                  \
  LINNET_KERNEL(reduce_columns_##name, ReduceArgs, kReduceThreads) { \
    reduce_columns<T>(args, GivenFold{args.kind});                   \
  }
LINNET_REDUCE_GIVEN(LINNET_REDUCE)

}  // namespace linnet::cuda
