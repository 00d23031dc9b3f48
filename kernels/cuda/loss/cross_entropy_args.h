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

/// `loss` and `sum`, log(sum(exp(x))), in float, or double for double.
struct CrossEntropyArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> x, labels;
  Global<void> loss, sum;
  long long rows;
  int columns;
  LabelType label_type;
};

struct CrossEntropyBackwardArgs {
  static constexpr unsigned kPointers = 5;
  Global<const void> x, labels, sum, dloss;
  Global<void> dx;
  long long rows;
  int columns;
  LabelType label_type;
};

}  // namespace linnet::cuda

#define LINNET_CROSS_ENTROPY_KERNELS(X) LINNET_ONE_PASS_ROWS(X, cross_entropy)
#define LINNET_CROSS_ENTROPY_BACKWARD_KERNELS(X) LINNET_ONE_PASS_ROWS(X, cross_entropy_backward)
