// Gradients of layer and RMS normalisation. With n = (x - mean) rstd and g = dy scale:
// dx = rstd (g - mean(g) - n mean(g n)); without mean(g) for RMS normalisation.
#pragma once

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/norm/norm_args.h"
#include "kernels/cuda/norm/parameter.cuh"

namespace linnet::cuda {

template <class T, bool kCentred>
LINNET_DEVICE Wide<T> row_mean(const NormBackwardArgs& args, int64_t row) {
  if constexpr (kCentred)
    return static_cast<const Wide<T>*>(args.mean.get())[row];
  else
    return 0;
}

/// What the elements of a row need of it.
template <class T, bool kCentred>
struct RowGradient {
  using W = Wide<T>;
  W mean, rstd, offset = 0, slope = 0;

  LINNET_DEVICE RowGradient(const NormBackwardArgs& args, int64_t row)
      : mean(row_mean<T, kCentred>(args, row)), rstd(static_cast<const W*>(args.rstd.get())[row]) {}
  LINNET_DEVICE W normal(W x) const { return (x - mean) * rstd; }
  LINNET_DEVICE void set_sums(SumPair<W> sums, int columns) {
    offset = kCentred ? sums.first / static_cast<W>(columns) : W(0);
    slope = sums.second / static_cast<W>(columns);
  }
  LINNET_DEVICE W operator()(W x, W g) const { return rstd * (g - offset - normal(x) * slope); }
};

template <class T, int kThreads, int kWidth, int kCount, bool kCentred>
LINNET_DEVICE void norm_backward_kept_row(const NormBackwardArgs& args, int64_t row, int at) {
  using W = Wide<T>;
  const int64_t offset = row * args.columns;
  const T* x = static_cast<const T*>(args.x.get()) + offset;
  const T* dy = static_cast<const T*>(args.dy.get()) + offset;
  T* dx = static_cast<T*>(args.dx.get()) + offset;
  RowGradient<T, kCentred> gradient(args, row);
  Pack<T, kWidth> values[kCount];
  W g[kCount][kWidth];
  SumPair<W> sums{0, 0};
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int from = (i * kThreads + at) * kWidth;
    if (from >= args.columns) continue;
    values[i] = load_pack<kWidth>(x + from);
    W scale[kWidth];
    load_widened<T>(dy, from, g[i]);
    load_parameter<T>(args.scale, args.scale_kind, from, W(1), scale);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) {
      g[i][j] *= scale[j];
      sums.first += g[i][j];
      sums.second += g[i][j] * gradient.normal(to_wide(values[i][j]));
    }
  }
  gradient.set_sums(row_reduce<kThreads>(sums, Sum()), args.columns);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int to = (i * kThreads + at) * kWidth;
    if (to >= args.columns) continue;
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j)
      values[i][j] = from_wide<T>(gradient(to_wide(values[i][j]), g[i][j]));
    store_pack<kWidth>(dx + to, values[i]);
  }
}

template <class T, int kThreads, bool kCentred>
LINNET_DEVICE void norm_backward_long_row(const NormBackwardArgs& args, int64_t row, int at) {
  using W = Wide<T>;
  const int64_t offset = row * args.columns;
  const T* x = static_cast<const T*>(args.x.get()) + offset;
  const T* dy = static_cast<const T*>(args.dy.get()) + offset;
  T* dx = static_cast<T*>(args.dx.get()) + offset;
  RowGradient<T, kCentred> gradient(args, row);
  W scale[1];
  SumPair<W> sums{0, 0};
  for (int64_t i = at; i < args.columns; i += kThreads) {
    load_parameter<T>(args.scale, args.scale_kind, i, W(1), scale);
    const W g = to_wide(dy[i]) * scale[0];
    sums.first += g;
    sums.second += g * gradient.normal(to_wide(x[i]));
  }
  gradient.set_sums(row_reduce<kThreads>(sums, Sum()), args.columns);
  for (int64_t i = at; i < args.columns; i += kThreads) {
    load_parameter<T>(args.scale, args.scale_kind, i, W(1), scale);
    dx[i] = from_wide<T>(gradient(to_wide(x[i]), to_wide(dy[i]) * scale[0]));
  }
}

template <class T, int kBlock, int kThreads, int kWidth, int kCount, bool kCentred>
LINNET_DEVICE void norm_backward_rows(const NormBackwardArgs& args) {
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  if constexpr (kCount > 0)
    norm_backward_kept_row<T, kThreads, kWidth, kCount, kCentred>(args, row, thread() % kThreads);
  else
    norm_backward_long_row<T, kThreads, kCentred>(args, row, thread() % kThreads);
}

/// Rows, and in the same pass the sums over rows: a thread has the same columns of every row that
/// its block takes.
template <class T, int kThreads, int kWidth, int kCount, bool kCentred>
LINNET_DEVICE void norm_gradients(const NormBackwardArgs& args) {
  using W = Wide<T>;
  W first[kCount][kWidth] = {}, second[kCount][kWidth] = {}, scale[kCount][kWidth];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int at = (i * kThreads + thread()) * kWidth;
    if (at < args.columns) load_parameter<T>(args.scale, args.scale_kind, at, W(1), scale[i]);
  }
  for (int64_t row = block_x(); row < args.rows; row += blocks_x()) {
    const int64_t offset = row * args.columns;
    const T* x = static_cast<const T*>(args.x.get()) + offset;
    const T* dy = static_cast<const T*>(args.dy.get()) + offset;
    T* dx = static_cast<T*>(args.dx.get()) + offset;
    RowGradient<T, kCentred> gradient(args, row);
    Pack<T, kWidth> values[kCount], cotangents[kCount];
    SumPair<W> sums{0, 0};
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const int at = (i * kThreads + thread()) * kWidth;
      if (at >= args.columns) continue;
      values[i] = load_pack<kWidth>(x + at);
      cotangents[i] = load_pack<kWidth>(dy + at);
    }
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if ((i * kThreads + thread()) * kWidth >= args.columns) continue;
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j) {
        const W ct = to_wide(cotangents[i][j]), normal = gradient.normal(to_wide(values[i][j]));
        first[i][j] += ct * normal;
        second[i][j] += ct;
        sums.first += ct * scale[i][j];
        sums.second += ct * scale[i][j] * normal;
      }
    }
    gradient.set_sums(block_reduce<kThreads>(sums, Sum()), args.columns);
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const int at = (i * kThreads + thread()) * kWidth;
      if (at >= args.columns) continue;
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j) {
        values[i][j] =
            from_wide<T>(gradient(to_wide(values[i][j]), to_wide(cotangents[i][j]) * scale[i][j]));
      }
      store_pack<kWidth>(dx + at, values[i]);
    }
  }
  W* const first_out = static_cast<W*>(args.first.get()) + int64_t{block_x()} * args.columns;
  W* const second_out = static_cast<W*>(args.second.get()) + int64_t{block_x()} * args.columns;
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int at = (i * kThreads + thread()) * kWidth;
    if (at >= args.columns) continue;
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) {
      first_out[at + j] = first[i][j];
      second_out[at + j] = second[i][j];
    }
  }
}

}  // namespace linnet::cuda
