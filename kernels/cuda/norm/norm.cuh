// Layer and RMS normalisation over rows: y = (x - mean) rstd scale + bias.
#pragma once

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/scalar.h"
#include "kernels/cuda/norm/norm_args.h"
#include "kernels/cuda/norm/parameter.cuh"

namespace linnet::cuda {

template <class T>
struct RowStatistics {
  Wide<T> mean, rstd;
};

template <class T>
LINNET_DEVICE RowStatistics<T> row_statistics(Wide<T> mean, Wide<T> squares, const NormArgs& args) {
  using W = Wide<T>;
  const W variance = squares / static_cast<W>(args.columns);
  return {mean, W(1) / scalar::sqrt(variance + static_cast<W>(args.epsilon))};
}

template <class T, int width>
LINNET_DEVICE void store_normalised(const NormArgs& args, const RowStatistics<T>& row, int64_t at,
                                    const Wide<T> (&values)[width], T* y) {
  using W = Wide<T>;
  W scale[width], bias[width];
  load_parameter<T>(args.scale, args.scale_kind, at, W(1), scale);
  load_parameter<T>(args.bias, args.bias_kind, at, W(0), bias);
  Pack<T, width> pack;
  LINNET_UNROLL
  for (int j = 0; j < width; ++j)
    pack[j] = from_wide<T>((values[j] - row.mean) * (row.rstd * scale[j]) + bias[j]);
  store_pack<width>(y + at, pack);
}

/// The row in registers: the squares are of distances from the mean.
template <class T, int kThreads, int kWidth, int kCount, bool kCentred>
LINNET_DEVICE RowStatistics<T> norm_kept_row(const NormArgs& args, const T* x, T* y, int at) {
  using W = Wide<T>;
  W values[kCount][kWidth], sum = 0, mean = 0, squares = 0;
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int from = (i * kThreads + at) * kWidth;
    Pack<T, kWidth> pack;
    if (from < args.columns) pack = load_pack<kWidth>(x + from);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) {
      values[i][j] = from < args.columns ? to_wide(pack[j]) : W(0);
      sum += values[i][j];
    }
  }
  if constexpr (kCentred) mean = row_reduce<kThreads>(sum, Sum()) / static_cast<W>(args.columns);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) {
      const W apart = (i * kThreads + at) * kWidth < args.columns ? values[i][j] - mean : W(0);
      squares += apart * apart;
    }
  }
  const auto row = row_statistics<T>(mean, row_reduce<kThreads>(squares, Sum()), args);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int to = (i * kThreads + at) * kWidth;
    if (to < args.columns) store_normalised<T>(args, row, to, values[i], y);
  }
  return row;
}

/// A row too long for that is read again for the squares and for the result.
template <class T, int kThreads, int kWidth, bool kCentred>
LINNET_DEVICE RowStatistics<T> norm_long_row(const NormArgs& args, const T* x, T* y, int at) {
  using W = Wide<T>;
  constexpr int kStep = kThreads * kWidth;
  W mean = 0, squares = 0, values[kWidth];
  if constexpr (kCentred) {
    W sum = 0;
    for (int64_t i = at * kWidth; i < args.columns; i += kStep) {
      load_widened<T>(x, i, values);
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j) sum += values[j];
    }
    mean = row_reduce<kThreads>(sum, Sum()) / static_cast<W>(args.columns);
  }
  for (int64_t i = at * kWidth; i < args.columns; i += kStep) {
    load_widened<T>(x, i, values);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) squares += (values[j] - mean) * (values[j] - mean);
  }
  const auto row = row_statistics<T>(mean, row_reduce<kThreads>(squares, Sum()), args);
  for (int64_t i = at * kWidth; i < args.columns; i += kStep) {
    load_widened<T>(x, i, values);
    store_normalised<T>(args, row, i, values, y);
  }
  return row;
}

template <class T, int kBlock, int kThreads, int kWidth, int kCount, bool kCentred>
LINNET_DEVICE void norm_rows(const NormArgs& args) {
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int at = thread() % kThreads;
  const T* x = static_cast<const T*>(args.x.get()) + row * args.columns;
  T* y = static_cast<T*>(args.y.get()) + row * args.columns;
  RowStatistics<T> statistics;
  if constexpr (kCount > 0)
    statistics = norm_kept_row<T, kThreads, kWidth, kCount, kCentred>(args, x, y, at);
  else
    statistics = norm_long_row<T, kThreads, kWidth, kCentred>(args, x, y, at);
  if (at != 0) return;
  if constexpr (kCentred) static_cast<Wide<T>*>(args.mean.get())[row] = statistics.mean;
  static_cast<Wide<T>*>(args.rstd.get())[row] = statistics.rstd;
}

}  // namespace linnet::cuda
