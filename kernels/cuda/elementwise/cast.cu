#include "kernels/cuda/elementwise/cast.cuh"

namespace linnet::cuda {

#define LINNET_CAST_KERNEL(name, V, N, ...)                            \
  LINNET_KERNEL(name, PointwiseArgs<1>, kPointwiseThreads) {           \
    cast<PackedPlace<1, N>, V, N, __VA_ARGS__>(args);                  \
  }                                                                    \
  LINNET_KERNEL(name##_strided, PointwiseArgs<1>, kPointwiseThreads) { \
    cast<StridedPlace<1, 2>, V, 2, __VA_ARGS__>(args);                 \
  }
LINNET_CAST_KERNEL(cast_float, float, 8, float, Bf16, Half)
LINNET_CAST_KERNEL(cast_double, double, 4, double)
LINNET_CAST_KERNEL(cast_i32, int32_t, 8, int32_t, int16_t, int8_t)
LINNET_CAST_KERNEL(cast_u32, uint32_t, 8, uint32_t, uint16_t, uint8_t, Bool)
LINNET_CAST_KERNEL(cast_i64, int64_t, 4, int64_t)
LINNET_CAST_KERNEL(cast_u64, uint64_t, 4, uint64_t)

}  // namespace linnet::cuda
