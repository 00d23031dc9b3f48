// Parameters and instances of the softmax kernels.
#pragma once

#include "kernels/cuda/device/global.h"
#include "kernels/cuda/device/row_instances.h"

namespace linnet::cuda {

/// Rows of `columns` elements, one after the other.
struct SoftmaxArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;
  long long rows;
  int columns;
  int logarithm;
};

struct SoftmaxBackwardArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> y, dy;
  Global<void> dx;
  long long rows;
  int columns;
  int logarithm;
};

struct LogSumExpArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;
  long long rows;
  int columns;
};

/// [outer, axis, inner], over the axis.
struct SoftmaxColumnsArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;   ///< in the gradient: y
  Global<const void> dy;  ///< of the gradient alone
  Global<void> y;
  long long inner;
  int axis;
  int logarithm;
};

}  // namespace linnet::cuda

#define LINNET_SOFTMAX_KERNELS(X) LINNET_KEPT_ROWS(X, softmax, 8)
#define LINNET_SOFTMAX_BACKWARD_KERNELS(X) LINNET_KEPT_ROWS(X, softmax_backward, 4)
#define LINNET_LOGSUMEXP_KERNELS(X) LINNET_ONE_PASS_ROWS(X, logsumexp)
#define LINNET_SOFTMAX_COLUMNS_KERNELS(X) LINNET_FLOATING_TYPES(X, softmax_columns)
#define LINNET_SOFTMAX_COLUMNS_BACKWARD_KERNELS(X) \
  LINNET_FLOATING_TYPES(X, softmax_columns_backward)
#define LINNET_LOGSUMEXP_COLUMNS_KERNELS(X) LINNET_FLOATING_TYPES(X, logsumexp_columns)
