#include "kernels/cuda/reduce/reduce.cuh"

namespace linnet::cuda {

#define LINNET_REDUCE(name, T, kind)                                 \
  LINNET_KERNEL(reduce_rows_##name, ReduceArgs, kReduceThreads) {    \
    reduce_rows<T>(args, FixedFold<Fold::kind>());                   \
  }                                                                  \
  LINNET_KERNEL(reduce_columns_##name, ReduceArgs, kReduceThreads) { \
    reduce_columns<T>(args, FixedFold<Fold::kind>());                \
  }
LINNET_REDUCE_FIXED(LINNET_REDUCE)

}  // namespace linnet::cuda
