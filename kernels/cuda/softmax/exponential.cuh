// Exponentials and logarithms of rows of T: in float for 16 bits, whose rounding hides what an
// approximate exponential loses, exact ones otherwise.
#pragma once

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/scalar.h"
#include "kernels/cuda/device/wide.h"

namespace linnet::cuda {

/// e^(x - shift). Of one row all have the same shift, whose rounding cancels in their ratios.
template <class T>
LINNET_DEVICE Wide<T> shifted_exponential(Wide<T> x, Wide<T> shift) {
  if constexpr (kIsHalf<T>) {
    constexpr float kLog2E = 1.44269504f;
    return exp2_approximate((x - shift) * kLog2E);
  } else {
    return scalar::exp(x - shift);
  }
}

/// The largest of some numbers, and the sum of exponentials of their distances from it; from zero
/// where that is infinite.
template <class W>
struct ExponentialSum {
  W high, sum;
};

template <class W>
LINNET_DEVICE W finite_shift(W high) {
  return is_infinite(high) ? W(0) : high;
}

template <class T>
struct MergeExponentialSums {
  using W = Wide<T>;
  LINNET_DEVICE W moved(const ExponentialSum<W>& part, W high) const {
    return part.high == high ? part.sum : part.sum * shifted_exponential<T>(part.high, high);
  }
  LINNET_DEVICE ExponentialSum<W> operator()(const ExponentialSum<W>& a,
                                             const ExponentialSum<W>& b) const {
    const W high = Maximum()(a.high, b.high);
    return {high, moved(a, high) + moved(b, high)};
  }
};

/// The largest number of a row that `kThreads` threads share; `at` is this thread's place among
/// them.
template <class T, int kThreads, int kWidth>
LINNET_DEVICE Wide<T> high_of_row(const T* x, int columns, int at) {
  using W = Wide<T>;
  constexpr int kBatch = kWidth == 8 ? 2 : 4;
  W high = -infinity<W>();
  for (int64_t first = at * kWidth; first < columns; first += kBatch * kThreads * kWidth) {
    Pack<T, kWidth> packs[kBatch];
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const int64_t from = first + i * kThreads * kWidth;
      if (from < columns) packs[i] = load_pack<kWidth>(x + from);
    }
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      if (first + i * kThreads * kWidth >= columns) continue;
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j) high = Maximum()(high, to_wide(packs[i][j]));
    }
  }
  return row_reduce<kThreads>(high, Maximum());
}

/// Adds `count` numbers at once: one change of the shift.
template <class T, int count>
LINNET_DEVICE void add_exponentials(ExponentialSum<Wide<T>>& total,
                                    const Wide<T> (&values)[count]) {
  using W = Wide<T>;
  W high = values[0];
  LINNET_UNROLL
  for (int i = 1; i < count; ++i) high = Maximum()(high, values[i]);
  ExponentialSum<W> part{high, W(0)};
  const W shift = finite_shift(high);
  LINNET_UNROLL
  for (int i = 0; i < count; ++i) part.sum += shifted_exponential<T>(values[i], shift);
  total = MergeExponentialSums<T>()(total, part);
}

/// Of a row that `kThreads` threads share; `at` is this thread's place among them.
template <class T, int kThreads, int kWidth>
LINNET_DEVICE ExponentialSum<Wide<T>> exponential_sum_of_row(const T* x, int columns, int at) {
  using W = Wide<T>;
  constexpr int kBatch = kWidth == 8 ? 2 : sizeof(W) == 8 ? 4 : kWidth == 1 ? 8 : 4;
  constexpr int kCount = kBatch * kWidth;
  ExponentialSum<W> total{-infinity<W>(), W(0)};
  for (int64_t first = at * kWidth; first < columns; first += kThreads * kCount) {
    Pack<T, kWidth> packs[kBatch];
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const int64_t from = first + i * kThreads * kWidth;
      if (from < columns) packs[i] = load_pack<kWidth>(x + from);
    }
    W values[kCount];
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const bool inside = first + i * kThreads * kWidth < columns;
      LINNET_UNROLL
      for (int j = 0; j < kWidth; ++j)
        values[i * kWidth + j] = inside ? to_wide(packs[i][j]) : -infinity<W>();
    }
    add_exponentials<T>(total, values);
  }
  return row_reduce<kThreads>(total, MergeExponentialSums<T>());
}

}  // namespace linnet::cuda
