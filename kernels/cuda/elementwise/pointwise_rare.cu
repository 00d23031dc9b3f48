// Long functions, some with a stack, one element at a time: they are bound by arithmetic.
#include "kernels/cuda/elementwise/operations.cuh"

namespace linnet::cuda {

#define LINNET_RARE_KERNEL(name, arithmetic, set, arity)                     \
  LINNET_KERNEL(name##_strided, PointwiseArgs<arity>, kPointwiseThreads) {   \
    strided<Arithmetic::k##arithmetic, FunctionSet::k##set, arity, 1>(args); \
  }
LINNET_POINTWISE_RARE(LINNET_RARE_KERNEL)

}  // namespace linnet::cuda
