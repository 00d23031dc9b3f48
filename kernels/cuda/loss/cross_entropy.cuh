// Softmax cross-entropy with integer labels over rows, from distances to the largest number of a
// row: neither loss nor gradient depends on where the numbers lie.
#pragma once

#include "kernels/cuda/loss/cross_entropy_args.h"
#include "kernels/cuda/softmax/exponential.cuh"

namespace linnet::cuda {

template <class Label>
LINNET_DEVICE int64_t label_at(const void* labels, int64_t row) {
  return static_cast<int64_t>(static_cast<const Label*>(labels)[row]);
}

/// The label of a row, counted from the end if negative, or -1 if it is out of range.
LINNET_DEVICE int label_of(const void* labels, LabelType type, int64_t row, int classes) {
  int64_t label = 0;
  switch (type.bytes * 2 + type.is_signed) {
    case 2:
      label = label_at<uint8_t>(labels, row);
      break;
    case 3:
      label = label_at<int8_t>(labels, row);
      break;
    case 4:
      label = label_at<uint16_t>(labels, row);
      break;
    case 5:
      label = label_at<int16_t>(labels, row);
      break;
    case 8:
      label = label_at<uint32_t>(labels, row);
      break;
    case 9:
      label = label_at<int32_t>(labels, row);
      break;
    default:
      label = label_at<int64_t>(labels, row);
      if (!type.is_signed && label < 0) return -1;
  }
  if (label < 0) label += classes;
  return label >= 0 && label < classes ? static_cast<int>(label) : -1;
}

template <class T, int kBlock, int kThreads, int kWidth>
LINNET_DEVICE void cross_entropy_rows(const CrossEntropyArgs& args) {
  using W = Wide<T>;
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int at = thread() % kThreads;
  const T* x = static_cast<const T*>(args.x.get()) + row * args.columns;
  const auto part = exponential_sum_of_row<T, kThreads, kWidth>(x, args.columns, at);
  if (at != 0) return;
  const W shift = finite_shift(part.high), log_sum = scalar::log(part.sum);
  const int label = label_of(args.labels.get(), args.label_type, row, args.columns);
  static_cast<W*>(args.log_sum.get())[row] = log_sum;
  static_cast<W*>(args.loss.get())[row] =
      label < 0 ? not_a_number<W>() : log_sum - (to_wide(x[label]) - shift);
}

/// dx = (exp(x - shift) scale - onehot(label) gradient) of one row, without the onehot for a label
/// out of range. `dx` may be `x`.
template <class T, int kThreads, int kWidth>
LINNET_DEVICE void write_gradient_of_row(const T* x, T* dx, int columns, Wide<T> shift,
                                         Wide<T> scale, Wide<T> gradient, int label) {
  using W = Wide<T>;
  constexpr int kBatch = 4;
  for (int64_t first = thread() % kThreads * kWidth; first < columns;
       first += kBatch * kThreads * kWidth) {
    Pack<T, kWidth> packs[kBatch];
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const int64_t from = first + i * kThreads * kWidth;
      if (from < columns) packs[i] = load_pack<kWidth>(x + from);
    }
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const int64_t to = first + i * kThreads * kWidth;
      if (to >= columns) continue;
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j) {
        const W e = shifted_exponential<T>(to_wide(packs[i][j]), shift) * scale;
        packs[i][j] = from_wide<T>(to + j == label ? e - gradient : e);
      }
      store_pack<kWidth>(dx + to, packs[i]);
    }
  }
}

template <class T, int kBlock, int kThreads, int kWidth>
LINNET_DEVICE void cross_entropy_backward_rows(const CrossEntropyBackwardArgs& args) {
  using W = Wide<T>;
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int columns = args.columns;
  const T* x = static_cast<const T*>(args.x.get()) + row * columns;
  const W gradient = static_cast<const W*>(args.dloss.get())[row];
  const W log_sum = static_cast<const W*>(args.log_sum.get())[row];
  // The second look at a row finds it in the cache.
  const W high = high_of_row<T, kThreads, kWidth>(x, columns, thread() % kThreads);
  write_gradient_of_row<T, kThreads, kWidth>(
      x, static_cast<T*>(args.dx.get()) + row * columns, columns, finite_shift(high),
      scalar::exp(-log_sum) * gradient, gradient,
      label_of(args.labels.get(), args.label_type, row, columns));
}

/// Loss and gradient of a row at once: the second look at it finds it in the cache. `dx` may be
/// `x`, and the threads of a warp are not in step: none may read what another one overwrites. The
/// thread that overwrites the chosen number is therefore the one that writes the loss.
template <class T, int kBlock, int kThreads, int kWidth>
LINNET_DEVICE void cross_entropy_both_rows(const CrossEntropyBothArgs& args) {
  using W = Wide<T>;
  const int64_t row = int64_t{block_x()} * (kBlock / kThreads) + thread() / kThreads;
  if (row >= args.rows) return;
  const int columns = args.columns, at = thread() % kThreads;
  const T* x = static_cast<const T*>(args.x.get()) + row * columns;
  const int label = label_of(args.labels.get(), args.label_type, row, columns);
  const auto part = exponential_sum_of_row<T, kThreads, kWidth>(x, columns, at);
  if (at == (label < 0 ? 0 : label / kWidth % kThreads)) {
    const W shift = finite_shift(part.high), log_sum = scalar::log(part.sum);
    static_cast<W*>(args.log_sum.get())[row] = log_sum;
    static_cast<W*>(args.loss.get())[row] =
        label < 0 ? not_a_number<W>() : log_sum - (to_wide(x[label]) - shift);
  }
  const W gradient = static_cast<const W*>(args.dloss.get())[row];
  write_gradient_of_row<T, kThreads, kWidth>(x, static_cast<T*>(args.dx.get()) + row * columns,
                                             columns, finite_shift(part.high), gradient / part.sum,
                                             gradient, label);
}

}  // namespace linnet::cuda
