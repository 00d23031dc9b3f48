// Parameters and instances of kernels over the columns of [rows, columns]: sums over rows for layer
// and RMS normalisation, and batch normalisation of channels-last tensors. Statistics are float, or
// double for double.
#pragma once

#include "kernels/cuda/device/global.h"
#include "kernels/cuda/device/row_instances.h"
#include "kernels/cuda/norm/parameter.h"

namespace linnet::cuda {

/// How blocks cover a matrix: x counts tiles of columns, y parts of the rows. A tile has `across`
/// threads side by side, a power of two up to 32, and the rest of a block's below each other.
struct ColumnLayout {
  long long rows, rows_per_part;
  int columns, across;
};

/// For each part a row of `first` and of `second`: sums of dy (x - mean) rstd and of dy. Mean and
/// rstd are of rows; of columns, with an rstd of one, in batch normalisation.
struct ColumnSumsArgs {
  static constexpr unsigned kPointers = 6;
  Global<const void> x, dy, mean, rstd;
  Global<void> first, second;
  ColumnLayout layout;
};

/// Adds the parts: dscale = sum of `first`, dbias = sum of `second`; a null result is not wanted.
struct FinishSumsArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> first, second;
  Global<void> dscale, dbias;
  int columns, parts;
};

/// For each part a row of means and of squared deviations.
struct ColumnMomentsArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;
  Global<void> mean, squares;
  ColumnLayout layout;
};
struct FinishMomentsArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> part_mean, part_squares;
  Global<void> mean, variance;
  long long rows, rows_per_part;
  int columns, parts;
};

/// Replaces sums by means, and sums of squares by variances.
struct MomentsOfSumsArgs {
  static constexpr unsigned kPointers = 2;
  Global<float> mean, variance;
  long long rows;
  int columns;
};

/// y = (x - mean) / sqrt(variance + epsilon) scale + bias + residual, of which the positive part if
/// `relu`. The residual may be null.
struct BatchNormArgs {
  static constexpr unsigned kPointers = 7;
  Global<const void> x, mean, variance, scale, bias, residual;
  Global<void> y;
  ColumnLayout layout;
  ParameterKind scale_kind, bias_kind;
  double epsilon;
  int relu;
};

/// What a norm gives, so that relu behind it can be told from x.
struct BatchNormForward {
  Global<const void> mean, variance, scale, bias;
};
/// How its numbers are to be read. `relu`: dy counts only where the norm is positive.
struct BatchNormKinds {
  ParameterKind scale, bias;
  int relu;
  double epsilon;
};

/// Parts of the sums of dy (x - mean) and of dy.
struct BatchNormSumsArgs {
  static constexpr unsigned kPointers = 8;
  Global<const void> x, dy;
  BatchNormForward norm;
  Global<void> first, second;
  ColumnLayout layout;
  BatchNormKinds kinds;
};

/// `first` and `second` are parts of the sums of dy (x - mean) and dy. offset = sum(dy) / rows,
/// slope = sum(dy (x - mean)) rstd^2 / rows; dscale and dbias may be null.
struct FinishBatchNormArgs {
  static constexpr unsigned kPointers = 7;
  Global<const void> first, second, variance;
  Global<void> dscale, dbias, offset, slope;
  long long rows;
  int columns, parts;
  double epsilon;
};

/// dx = scale rstd (dy - offset - (x - mean) slope).
struct BatchNormBackwardArgs {
  static constexpr unsigned kPointers = 9;
  Global<const void> x, dy;
  BatchNormForward norm;
  Global<const void> offset, slope;
  Global<void> dx;
  ColumnLayout layout;
  BatchNormKinds kinds;
};

inline constexpr int kColumnThreads = 256;

}  // namespace linnet::cuda

#define LINNET_NORM_SUMS_KERNELS(X) LINNET_FLOATING_ACCESSES(X, norm_sums)
#define LINNET_BATCH_NORM_SUMS_KERNELS(X) LINNET_FLOATING_ACCESSES(X, batch_norm_sums)
#define LINNET_BATCH_NORM_MOMENTS_KERNELS(X) LINNET_FLOATING_ACCESSES(X, batch_norm_moments)
#define LINNET_BATCH_NORM_APPLY_KERNELS(X) LINNET_FLOATING_ACCESSES(X, batch_norm_apply)
#define LINNET_BATCH_NORM_BACKWARD_KERNELS(X) LINNET_FLOATING_ACCESSES(X, batch_norm_backward)

// X(name, dtype of the statistics, their type)
#define LINNET_STATISTICS_TYPES(X, prefix) \
  X(prefix##_f32, kF32, float) X(prefix##_f64, kF64, double)
#define LINNET_NORM_FINISH_SUMS_KERNELS(X) LINNET_STATISTICS_TYPES(X, norm_finish_sums)
#define LINNET_BATCH_NORM_FINISH_MOMENTS_KERNELS(X) \
  LINNET_STATISTICS_TYPES(X, batch_norm_finish_moments)
#define LINNET_BATCH_NORM_FINISH_SUMS_KERNELS(X) LINNET_STATISTICS_TYPES(X, batch_norm_finish_sums)
