// One row times a matrix: bound by reading the matrix once. Included once per instruction set.
#if defined(LINNET_GEMM_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_GEMM_ROW_INL_H_
#undef LINNET_GEMM_ROW_INL_H_
#else
#define LINNET_GEMM_ROW_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/vector/wide-inl.h"
#include "linnet/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::gemm_kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A whole vector of the matrix as the type the sum is kept in.
template <class D, class T>
HWY_INLINE hn::Vec<D> load_wide(D d, const T* p) {
  return cpu::HWY_NAMESPACE::load<false>(d, p, 0);
}

template <int kRows, class T, class S>
HWY_INLINE void add_rows(const S* x, const T* b, int64_t b_row, S* sums, int64_t count) {
  const hn::ScalableTag<S> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> factor[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) factor[r] = hn::Set(d, x[r]);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    auto sum = hn::LoadU(d, sums + j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      sum = hn::MulAdd(factor[r], load_wide(d, b + r * b_row + j), sum);
    hn::StoreU(sum, d, sums + j);
  }
  for (; j < count; ++j) {
    S sum = sums[j];
    for (int r = 0; r < kRows; ++r)
      sum = __builtin_fma(x[r], static_cast<S>(b[r * b_row + j]), sum);
    sums[j] = sum;
  }
}

/// Products that are added up before their sum is added to the total: a total of millions of them
/// would no longer grow by one.
constexpr int64_t kRun = 4096;

/// sums[j] += sum_p x[p] b[p, j]. Eight rows at a time, so that eight streams are read in step; the
/// sums of a strip of columns stay in the first-level cache.
template <class T, class S>
void add_row_times_matrix(const S* x, int64_t k, const T* b, int64_t b_row, S* sums, int64_t n) {
  constexpr int64_t kStrip = 2048;
  const auto add_run = [&](int64_t p, int64_t end, int64_t j, int64_t count, S* to) {
    for (; p + 8 <= end; p += 8) add_rows<8>(x + p, b + p * b_row + j, b_row, to, count);
    for (; p < end; ++p) add_rows<1>(x + p, b + p * b_row + j, b_row, to, count);
  };
  for (int64_t j = 0; j < n; j += kStrip) {
    const int64_t count = std::min(kStrip, n - j);
    if (k <= kRun) {
      add_run(0, k, j, count, sums + j);
      continue;
    }
    S run[kStrip];
    for (int64_t p = 0; p < k; p += kRun) {
      std::fill_n(run, count, S(0));
      add_run(p, std::min(k, p + kRun), j, count, run);
      for (int64_t c = 0; c < count; ++c) sums[j + c] += run[c];
    }
  }
}

template <int kColumns, class T, class S>
HWY_INLINE void add_dots(const S* x, int64_t k, const T* b, int64_t b_column, S* sums) {
  const hn::ScalableTag<S> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> even[kColumns], odd[kColumns];
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) even[c] = odd[c] = hn::Zero(d);
  int64_t p = 0;
  for (; p + 2 * lanes <= k; p += 2 * lanes) {
    const auto first = hn::LoadU(d, x + p), second = hn::LoadU(d, x + p + lanes);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      even[c] = hn::MulAdd(first, load_wide(d, b + c * b_column + p), even[c]);
      odd[c] = hn::MulAdd(second, load_wide(d, b + c * b_column + p + lanes), odd[c]);
    }
  }
  for (int c = 0; c < kColumns; ++c) {
    S sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even[c], odd[c])));
    for (int64_t rest = p; rest < k; ++rest) {
      sum = __builtin_fma(x[rest], static_cast<S>(b[c * b_column + rest]), sum);
    }
    sums[c] += sum;
  }
}

/// sums[j] += sum_p x[p] b[p, j] where the elements of a column are contiguous.
template <class T, class S>
void add_row_times_columns(const S* x, int64_t k, const T* b, int64_t b_column, S* sums,
                           int64_t n) {
  constexpr int64_t kLongRun = 16 * kRun;  // each lane of a vector has a sum of its own
  for (int64_t p = 0; p < k; p += kLongRun) {
    const int64_t run = std::min(kLongRun, k - p);
    int64_t j = 0;
    for (; j + 4 <= n; j += 4) add_dots<4>(x + p, run, b + j * b_column + p, b_column, sums + j);
    for (; j < n; ++j) add_dots<1>(x + p, run, b + j * b_column + p, b_column, sums + j);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu::gemm_kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
