// Parameters and instances of the kernels of cross-entropy.
#pragma once

#include "kernels/cuda/device/global.h"
#include "kernels/cuda/device/row_instances.h"

namespace linnet::cuda {

/// Integer labels of any type.
struct LabelType {
  int bytes;
  int is_signed;
};

/// `loss` and `log_sum`, log(sum(exp(x - shift))) with the row's maximum as shift, in float, or
/// double for double.
struct CrossEntropyArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> x, labels;
  Global<void> loss, log_sum;
  long long rows;
  int columns;
  LabelType label_type;
};

struct CrossEntropyBackwardArgs {
  static constexpr unsigned kPointers = 5;
  Global<const void> x, labels, log_sum, dloss;
  Global<void> dx;
  long long rows;
  int columns;
  LabelType label_type;
};

struct CrossEntropyBothArgs {
  static constexpr unsigned kPointers = 6;
  Global<const void> x, labels, dloss;
  Global<void> loss, log_sum, dx;
  long long rows;
  int columns;
  LabelType label_type;
};

}  // namespace linnet::cuda

// Blocks of f64 are smaller, so that its numbers fit into registers.
#define LINNET_CROSS_ENTROPY_BOTH_KERNELS(X)                           \
  LINNET_ONE_PASS_ROWS_OF(X, cross_entropy_both, bf16, kBF16, Bf16, 8) \
  LINNET_ONE_PASS_ROWS_OF(X, cross_entropy_both, f16, kF16, Half, 8)   \
  LINNET_ONE_PASS_ROWS_OF(X, cross_entropy_both, f32, kF32, float, 4)  \
  X(cross_entropy_both_f64_warp_scalar, kF64, double, 128, 32, 1, 0)   \
  X(cross_entropy_both_f64_block_scalar, kF64, double, 256, 256, 1, 0)
#define LINNET_CROSS_ENTROPY_KERNELS(X) LINNET_ONE_PASS_ROWS(X, cross_entropy)
#define LINNET_CROSS_ENTROPY_BACKWARD_KERNELS(X) LINNET_ONE_PASS_ROWS(X, cross_entropy_backward)
