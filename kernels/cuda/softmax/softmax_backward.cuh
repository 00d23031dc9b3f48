// Gradients of softmax and of its logarithm over rows, from their results:
// dx = y (dy - sum(y dy)), or dy - exp(y) sum(dy).
#pragma once

#include "kernels/cuda/softmax/exponential.cuh"
#include "kernels/cuda/softmax/softmax_args.h"

namespace linnet::cuda {

template <class T>
LINNET_DEVICE Wide<T> softmax_term(Wide<T> y, Wide<T> dy, bool logarithm) {
  return logarithm ? dy : y * dy;
}
template <class T>
LINNET_DEVICE T softmax_gradient(Wide<T> y, Wide<T> dy, Wide<T> sum, bool logarithm) {
  return from_wide<T>(logarithm ? dy - shifted_exponential<T>(y, 0) * sum : y * (dy - sum));
}

template <class T, int kWidth>
LINNET_DEVICE Pack<T, kWidth> softmax_gradients(const Pack<T, kWidth>& y, const Pack<T, kWidth>& dy,
                                                Wide<T> sum, bool logarithm) {
  Pack<T, kWidth> out;
  LINNET_UNROLL
  for (int j = 0; j < kWidth; ++j)
    out[j] = softmax_gradient<T>(to_wide(y[j]), to_wide(dy[j]), sum, logarithm);
  return out;
}

/// Both rows in registers as they are in memory.
template <class T, int kThreads, int kWidth, int kCount>
LINNET_DEVICE void softmax_backward_kept_row(const T* y, const T* dy, T* dx, int columns, int at,
                                             bool logarithm) {
  using W = Wide<T>;
  Pack<T, kWidth> values[kCount], gradients[kCount];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int from = (i * kThreads + at) * kWidth;
    if (from < columns) {
      values[i] = load_pack<kWidth>(y + from);
      gradients[i] = load_pack<kWidth>(dy + from);
    }
  }
  W sum = 0;
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    if ((i * kThreads + at) * kWidth < columns) {
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j)
        sum += softmax_term<T>(to_wide(values[i][j]), to_wide(gradients[i][j]), logarithm);
    }
  }
  sum = row_reduce<kThreads>(sum, Sum());
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const int to = (i * kThreads + at) * kWidth;
    if (to < columns)
      store_pack<kWidth>(dx + to, softmax_gradients(values[i], gradients[i], sum, logarithm));
  }
}

template <class T, int kThreads, int kWidth>
LINNET_DEVICE void softmax_backward_long_row(const T* y, const T* dy, T* dx, int columns, int at,
                                             bool logarithm) {
  using W = Wide<T>;
  W sum = 0;
  for (int64_t i = at * kWidth; i < columns; i += kThreads * kWidth) {
    const Pack<T, kWidth> value = load_pack<kWidth>(y + i), gradient = load_pack<kWidth>(dy + i);
    LINNET_UNROLL
    for (int j = 0; j < kWidth; ++j)
      sum += softmax_term<T>(to_wide(value[j]), to_wide(gradient[j]), logarithm);
  }
  sum = row_reduce<kThreads>(sum, Sum());
  for (int64_t i = at * kWidth; i < columns; i += kThreads * kWidth) {
    store_pack<kWidth>(dx + i, softmax_gradients(load_pack<kWidth>(y + i),
                                                 load_pack<kWidth>(dy + i), sum, logarithm));
  }
}

template <class T, int kBlock, int kThreads, int kWidth, int kCount>
LINNET_DEVICE void softmax_backward_rows(const SoftmaxBackwardArgs& args) {
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int at = thread() % kThreads;
  const int64_t offset = row * args.columns;
  const T* y = static_cast<const T*>(args.y.get()) + offset;
  const T* dy = static_cast<const T*>(args.dy.get()) + offset;
  T* dx = static_cast<T*>(args.dx.get()) + offset;
  if constexpr (kCount > 0)
    softmax_backward_kept_row<T, kThreads, kWidth, kCount>(y, dy, dx, args.columns, at,
                                                           args.logarithm);
  else
    softmax_backward_long_row<T, kThreads, kWidth>(y, dy, dx, args.columns, at, args.logarithm);
}

}  // namespace linnet::cuda
