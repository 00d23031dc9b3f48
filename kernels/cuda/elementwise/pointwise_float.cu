#include "kernels/cuda/elementwise/operations.cuh"

namespace linnet::cuda {

LINNET_POINTWISE_FLOAT(LINNET_POINTWISE_KERNEL)

}  // namespace linnet::cuda
