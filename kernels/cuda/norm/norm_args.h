// Parameters and instances of layer and RMS normalisation. Statistics are float, or double for
// double.
#pragma once

#include "kernels/cuda/device/global.h"
#include "kernels/cuda/device/row_instances.h"
#include "kernels/cuda/norm/parameter.h"

namespace linnet::cuda {

/// `mean` is null for RMS normalisation.
struct NormArgs {
  static constexpr unsigned kPointers = 6;
  Global<const void> x, scale, bias;
  Global<void> y, mean, rstd;
  long long rows;
  int columns;
  ParameterKind scale_kind, bias_kind;
  double epsilon;
};

/// The sums over rows are `first`, of dy n, and `second`, of dy: one row of each for every block.
struct NormBackwardArgs {
  static constexpr unsigned kPointers = 8;
  Global<const void> x, mean, rstd, dy, scale;
  Global<void> dx, first, second;
  long long rows;
  int columns;
  ParameterKind scale_kind;
};

}  // namespace linnet::cuda

#define LINNET_LAYER_NORM_KERNELS(X) LINNET_KEPT_ROWS(X, layer_norm, 8)
#define LINNET_RMS_NORM_KERNELS(X) LINNET_KEPT_ROWS(X, rms_norm, 8)

// The gradient of rows alone.
#define LINNET_NORM_BACKWARD_ROWS(X, prefix)               \
  X(prefix##_bf16_warp, kBF16, Bf16, 128, 32, 8, 4)        \
  X(prefix##_bf16_warp_scalar, kBF16, Bf16, 128, 32, 1, 8) \
  X(prefix##_bf16_any_scalar, kBF16, Bf16, 512, 512, 1, 0) \
  X(prefix##_f16_warp, kF16, Half, 128, 32, 8, 4)          \
  X(prefix##_f16_warp_scalar, kF16, Half, 128, 32, 1, 8)   \
  X(prefix##_f16_any_scalar, kF16, Half, 512, 512, 1, 0)   \
  X(prefix##_f32_warp, kF32, float, 128, 32, 4, 4)         \
  X(prefix##_f32_warp_scalar, kF32, float, 128, 32, 1, 8)  \
  X(prefix##_f32_any_scalar, kF32, float, 512, 512, 1, 0)  \
  X(prefix##_f64_warp_scalar, kF64, double, 128, 32, 1, 8) \
  X(prefix##_f64_any_scalar, kF64, double, 512, 512, 1, 0)
#define LINNET_LAYER_NORM_BACKWARD_KERNELS(X) LINNET_NORM_BACKWARD_ROWS(X, layer_norm_backward)
#define LINNET_RMS_NORM_BACKWARD_KERNELS(X) LINNET_NORM_BACKWARD_ROWS(X, rms_norm_backward)

// The gradient of rows and the sums over them in one pass: a block takes every n-th row.
#define LINNET_NORM_GRADIENTS_OF(X, prefix, name, dtype, T, pack, accesses) \
  X(prefix##_##name##_128, dtype, T, 128, 128, pack, accesses / 2)          \
  X(prefix##_##name##_256, dtype, T, 256, 256, pack, accesses)              \
  X(prefix##_##name##_512, dtype, T, 512, 512, pack, accesses)
#define LINNET_NORM_GRADIENTS(X, prefix)                       \
  LINNET_NORM_GRADIENTS_OF(X, prefix, bf16, kBF16, Bf16, 8, 2) \
  LINNET_NORM_GRADIENTS_OF(X, prefix, f16, kF16, Half, 8, 2)   \
  LINNET_NORM_GRADIENTS_OF(X, prefix, f32, kF32, float, 4, 4)
#define LINNET_LAYER_NORM_GRADIENTS_KERNELS(X) LINNET_NORM_GRADIENTS(X, layer_norm_gradients)
#define LINNET_RMS_NORM_GRADIENTS_KERNELS(X) LINNET_NORM_GRADIENTS(X, rms_norm_gradients)
