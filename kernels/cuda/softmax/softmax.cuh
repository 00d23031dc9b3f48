// Softmax and its logarithm over rows.
#pragma once

#include "kernels/cuda/softmax/exponential.cuh"
#include "kernels/cuda/softmax/softmax_args.h"

namespace linnet::cuda {

/// The row in registers, read once.
template <class T, int kThreads, int kWidth, int kCount>
LINNET_DEVICE void softmax_kept_row(const T* x, T* y, int columns, int at, bool logarithm) {
  using W = Wide<T>;
  W values[kCount * kWidth];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int from = (i * kThreads + at) * kWidth;
    Pack<T, kWidth> pack{};
    if (from < columns) pack = load_pack<kWidth>(x + from);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j)
      values[i * kWidth + j] = from < columns ? to_wide(pack[j]) : -infinity<W>();
  }
  W high = values[0];
  LINNET_UNROLL
  for (int i = 1; i < kCount * kWidth; ++i) high = Maximum()(high, values[i]);
  high = row_reduce<kThreads>(high, Maximum());
  W sum = 0;
  LINNET_UNROLL
  for (int i = 0; i < kCount * kWidth; ++i) {
    const W e = shifted_exponential<T>(values[i], high);
    sum += e;
    values[i] = logarithm ? values[i] - high : e;
  }
  sum = row_reduce<kThreads>(sum, Sum());
  const W factor = logarithm ? W(1) : W(1) / sum, offset = logarithm ? scalar::log(sum) : W(0);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int to = (i * kThreads + at) * kWidth;
    Pack<T, kWidth> pack;
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j)
      pack[j] = from_wide<T>(values[i * kWidth + j] * factor - offset);
    if (to < columns) store_pack<kWidth>(y + to, pack);
  }
}

/// A row too long for that is read twice.
template <class T, int kThreads, int kWidth>
LINNET_DEVICE void softmax_long_row(const T* x, T* y, int columns, int at, bool logarithm) {
  using W = Wide<T>;
  const ExponentialSum<W> row = exponential_sum_of_row<T, kThreads, kWidth>(x, columns, at);
  const W sum = is_infinite(row.high) ? not_a_number<W>() : row.sum;
  const W factor = W(1) / sum, offset = scalar::log(sum);
  for (int64_t i = at * kWidth; i < columns; i += kThreads * kWidth) {
    Pack<T, kWidth> pack = load_pack<kWidth>(x + i);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j) {
      const W value = to_wide(pack[j]);
      pack[j] = from_wide<T>(logarithm ? value - row.high - offset
                                       : shifted_exponential<T>(value, row.high) * factor);
    }
    store_pack<kWidth>(y + i, pack);
  }
}

template <class T, int kBlock, int kThreads, int kWidth, int kCount>
LINNET_DEVICE void softmax_rows(const SoftmaxArgs& args) {
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int at = thread() % kThreads;
  const T* x = static_cast<const T*>(args.x.get()) + row * args.columns;
  T* y = static_cast<T*>(args.y.get()) + row * args.columns;
  if constexpr (kCount > 0)
    softmax_kept_row<T, kThreads, kWidth, kCount>(x, y, args.columns, at, args.logarithm);
  else
    softmax_long_row<T, kThreads, kWidth>(x, y, args.columns, at, args.logarithm);
}

}  // namespace linnet::cuda
