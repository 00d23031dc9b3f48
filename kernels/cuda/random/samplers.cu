#include "kernels/cuda/random/samplers.cuh"

namespace linnet::cuda {

#define X(name, dtype, T) \
  LINNET_KERNEL(name, SamplerArgs, kRandomThreads) { draw_uniform<T>(args); }
LINNET_RANDOM_UNIFORM_KERNELS(X)
#undef X
#define X(name, dtype, T) \
  LINNET_KERNEL(name, SamplerArgs, kRandomThreads) { draw_normal<T>(args); }
LINNET_RANDOM_NORMAL_KERNELS(X)
#undef X

}  // namespace linnet::cuda
