// Batch normalisation of a channels-last tensor, seen as [rows, columns].
#pragma once

#include "kernels/cuda/device/scalar.h"
#include "kernels/cuda/norm/column_sums.cuh"

namespace linnet::cuda {

/// Sums of distances from the first row of a thread, so that a large mean does not swallow a small
/// variance; merged as mean and squared deviations.
template <class T, int width>
LINNET_DEVICE void batch_norm_moments(const ColumnMomentsArgs& args) {
  using W = Wide<T>;
  const ColumnPlace<width> place(args.layout);
  const int columns = args.layout.columns;
  const T* x = static_cast<const T*>(args.x.get());
  W shift[width] = {}, first[width] = {}, second[width] = {}, count = 0;
  for (int64_t row = place.first_row; place.inside && row < place.last_row; row += place.row_step) {
    W values[width];
    load_widened<T>(x, row * columns + place.column, values);
    LINNET_UNROLL
    for (int j = 0; j < width; ++j) {
      if (count == W(0)) shift[j] = is_infinite(values[j]) ? W(0) : values[j];
      const W apart = values[j] - shift[j];
      first[j] += apart;
      second[j] += apart * apart;
    }
    count += W(1);
  }
  W* const mean_out = static_cast<W*>(args.mean.get()) + int64_t{block_y()} * columns;
  W* const squares_out = static_cast<W*>(args.squares.get()) + int64_t{block_y()} * columns;
  const W share = count == W(0) ? W(0) : W(1) / count;
  LINNET_UNROLL
  for (int j = 0; j < width; ++j) {
    const W squares = second[j] - first[j] * first[j] * share;
    const Moments<W> mine{count, shift[j] + first[j] * share, squares < W(0) ? W(0) : squares};
    const Moments<W> total = reduce_rows(mine, args.layout.across, MergeMoments());
    if (place.inside && thread() < args.layout.across) {
      mean_out[place.column + j] = total.mean;
      squares_out[place.column + j] = total.squares;
    }
  }
}

template <class W>
LINNET_DEVICE void batch_norm_finish_moments(const FinishMomentsArgs& args) {
  const PartsPlace place;
  const W* const mean = static_cast<const W*>(args.part_mean.get());
  const W* const squares = static_cast<const W*>(args.part_squares.get());
  Moments<double> moments{0, 0, 0};
  if (place.column < args.columns) {
    for (int part = place.group; part < args.parts; part += kPartGroups) {
      const int64_t at = int64_t{part} * args.columns + place.column;
      const int64_t left = args.rows - part * args.rows_per_part;
      const int64_t count = left < args.rows_per_part ? left : args.rows_per_part;
      const Moments<double> next{static_cast<double>(count), static_cast<double>(mean[at]),
                                 static_cast<double>(squares[at])};
      moments = MergeMoments()(moments, next);
    }
  }
  moments = reduce_rows(moments, kWarp, MergeMoments());
  if (place.group != 0 || place.column >= args.columns) return;
  static_cast<W*>(args.mean.get())[place.column] = static_cast<W>(moments.mean);
  static_cast<W*>(args.variance.get())[place.column] =
      static_cast<W>(moments.squares / static_cast<double>(args.rows));
}

/// The norm of some columns: (x - mean) factor + bias.
template <class T, int width>
struct NormOfColumns {
  using W = Wide<T>;
  W mean[width], factor[width], bias[width];
  bool relu;

  LINNET_DEVICE NormOfColumns(const BatchNormForward& norm, const BatchNormKinds& kinds,
                              int64_t column)
      : relu(kinds.relu != 0) {
    W scale[width];
    load_widened<W>(norm.mean.get(), column, mean);
    load_widened<W>(norm.variance.get(), column, factor);
    load_parameter<T>(norm.scale, kinds.scale, column, W(1), scale);
    load_parameter<T>(norm.bias, kinds.bias, column, W(0), bias);
    LINNET_UNROLL
    for (int j = 0; j < width; ++j)
      factor[j] = W(1) / scalar::sqrt(factor[j] + static_cast<W>(kinds.epsilon)) * scale[j];
  }
  LINNET_DEVICE W operator()(W x, int j) const { return (x - mean[j]) * factor[j] + bias[j]; }
  /// What comes back through relu, if there is one.
  LINNET_DEVICE W operator()(W x, W cotangent, int j) const {
    return !relu || (*this)(x, j) > W(0) ? cotangent : W(0);
  }
};

template <class T, int width>
LINNET_DEVICE void batch_norm_sums(const BatchNormSumsArgs& args) {
  const ColumnPlace<width> place(args.layout);
  const NormOfColumns<T, width> norm(args.norm, args.kinds, place.inside ? place.column : 0);
  column_sums<T, width, false>(
      ColumnSumsArgs{args.x, args.dy, args.norm.mean, {}, args.first, args.second, args.layout},
      norm);
}

template <class T, int width>
LINNET_DEVICE void batch_norm_apply(const BatchNormArgs& args) {
  using W = Wide<T>;
  const ColumnPlace<width> place(args.layout);
  if (!place.inside) return;
  const T* x = static_cast<const T*>(args.x.get());
  const bool has_residual = args.residual.word != 0, relu = args.relu != 0;
  const T* residual = has_residual ? static_cast<const T*>(args.residual.get()) : x;
  T* y = static_cast<T*>(args.y.get());
  const NormOfColumns<T, width> norm({args.mean, args.variance, args.scale, args.bias},
                                     {args.scale_kind, args.bias_kind, args.relu, args.epsilon},
                                     place.column);
  for (int64_t row = place.first_row; row < place.last_row; row += place.row_step) {
    const int64_t at = row * args.layout.columns + place.column;
    Pack<T, width> pack = load_pack<width>(x + at), more;
    if (has_residual) more = load_pack<width>(residual + at);
    LINNET_UNROLL
    for (int j = 0; j < width; ++j) {
      W value = norm(to_wide(pack[j]), j);
      if (has_residual) value += to_wide(more[j]);
      pack[j] = from_wide<T>(relu && value < W(0) ? W(0) : value);  // NaN stays
    }
    store_pack<width>(y + at, pack);
  }
}

template <class W>
LINNET_DEVICE void batch_norm_finish_sums(const FinishBatchNormArgs& args) {
  const PartsPlace place;
  const auto sums =
      finished_sums(static_cast<const W*>(args.first.get()),
                    static_cast<const W*>(args.second.get()), args.columns, args.parts, place);
  if (place.group != 0 || place.column >= args.columns) return;
  const W variance = static_cast<const W*>(args.variance.get())[place.column];
  const double rstd =
      static_cast<double>(W(1) / scalar::sqrt(variance + static_cast<W>(args.epsilon)));
  const double rows = static_cast<double>(args.rows);
  if (args.dscale.word != 0)
    static_cast<W*>(args.dscale.get())[place.column] = static_cast<W>(sums.first * rstd);
  if (args.dbias.word != 0)
    static_cast<W*>(args.dbias.get())[place.column] = static_cast<W>(sums.second);
  static_cast<W*>(args.offset.get())[place.column] = static_cast<W>(sums.second / rows);
  static_cast<W*>(args.slope.get())[place.column] = static_cast<W>(sums.first * rstd * rstd / rows);
}

template <class T, int width>
LINNET_DEVICE void batch_norm_backward(const BatchNormBackwardArgs& args) {
  using W = Wide<T>;
  const ColumnPlace<width> place(args.layout);
  if (!place.inside) return;
  const T *x = static_cast<const T*>(args.x.get()), *dy = static_cast<const T*>(args.dy.get());
  T* dx = static_cast<T*>(args.dx.get());
  const NormOfColumns<T, width> norm(args.norm, args.kinds, place.column);
  W offset[width], slope[width];
  load_widened<W>(args.offset.get(), place.column, offset);
  load_widened<W>(args.slope.get(), place.column, slope);
  for (int64_t row = place.first_row; row < place.last_row; row += place.row_step) {
    const int64_t at = row * args.layout.columns + place.column;
    Pack<T, width> pack = load_pack<width>(x + at);
    const Pack<T, width> cotangents = load_pack<width>(dy + at);
    LINNET_UNROLL
    for (int j = 0; j < width; ++j) {
      const W value = to_wide(pack[j]), apart = value - norm.mean[j];
      const W ct = norm(value, to_wide(cotangents[j]), j);
      pack[j] = from_wide<T>(norm.factor[j] * (ct - offset[j] - apart * slope[j]));
    }
    store_pack<width>(dx + at, pack);
  }
}

}  // namespace linnet::cuda
