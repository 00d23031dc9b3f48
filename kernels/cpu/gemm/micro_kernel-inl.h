// The innermost block of a matrix product: up to kMaxRows rows times up to three vectors of
// columns, kept in registers while p runs over the block of k. Included once per instruction set.
#if defined(LINNET_GEMM_MICRO_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_GEMM_MICRO_KERNEL_INL_H_
#undef LINNET_GEMM_MICRO_KERNEL_INL_H_
#else
#define LINNET_GEMM_MICRO_KERNEL_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::gemm_kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 32 registers hold 8 x 3 accumulators, 16 registers 4 x 3, each with 3 of B and one of A.
constexpr int kMaxRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL ? 8 : 4;
constexpr int kMaxVectors = 3;

template <class T>
struct Block {
  const T* a;
  int64_t a_row, a_column;
  const T* b;  // rows of contiguous columns
  int64_t b_row;
  T* out;
  int64_t out_row;
  int64_t k;
  const T* bias;  // null: start from zero
  bool bias_is_scalar;
  bool accumulate;    // start from `out` instead of the bias
  const T* residual;  // null or with the strides of `out`; added last
  T lower;            // result is max(sum, lower): 0 is a ReLU, -infinity changes nothing
};

/// Exactly kRows rows; `columns` lies in ((kVectors - 1) * lanes, kVectors * lanes].
template <int kRows, int kVectors, class T>
HWY_NOINLINE void micro_kernel(const Block<T>& block, int64_t columns) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int kLast = kVectors - 1;
  const auto mask = hn::FirstN(d, static_cast<size_t>(columns - kLast * lanes));
  const auto load = [&](const T* p, int v) HWY_ATTR {
    return v == kLast ? hn::MaskedLoad(mask, d, p + v * lanes) : hn::LoadU(d, p + v * lanes);
  };

  V sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      if (block.accumulate) {
        sum[r][v] = load(block.out + r * block.out_row, v);
      } else if (!block.bias) {
        sum[r][v] = hn::Zero(d);
      } else {
        sum[r][v] = block.bias_is_scalar ? hn::Set(d, *block.bias) : load(block.bias, v);
      }
    }
  }

  const T* a = block.a;
  const T* b = block.b;
  const int64_t a_row = block.a_row, a_column = block.a_column, b_row = block.b_row;
  for (int64_t p = 0; p < block.k; ++p) {
    V right[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) right[v] = load(b, v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V left = hn::Set(d, a[r * a_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
    a += a_column;
    b += b_row;
  }

  const V lower = hn::Set(d, block.lower);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      // The second operand of Max survives if it is NaN.
      V value = hn::Max(lower, sum[r][v]);
      if (block.residual) value = hn::Add(value, load(block.residual + r * block.out_row, v));
      T* p = block.out + r * block.out_row + v * lanes;
      if (v == kLast) {
        hn::BlendedStore(value, mask, d, p);
      } else {
        hn::StoreU(value, d, p);
      }
    }
  }
}

template <int kRows, class T>
HWY_INLINE void rows_kernel(const Block<T>& block, int64_t columns, int64_t lanes) {
  if (columns <= lanes) {
    micro_kernel<kRows, 1>(block, columns);
  } else if (columns <= 2 * lanes) {
    micro_kernel<kRows, 2>(block, columns);
  } else {
    micro_kernel<kRows, 3>(block, columns);
  }
}

template <int kRows, class T>
HWY_INLINE int64_t rows_loop(Block<T>& block, int64_t rows, int64_t columns, int64_t lanes) {
  while (rows >= kRows) {
    rows_kernel<kRows>(block, columns, lanes);
    block.a += kRows * block.a_row;
    block.out += kRows * block.out_row;
    if (block.residual) block.residual += kRows * block.out_row;
    rows -= kRows;
  }
  return rows;
}

/// `rows` rows times at most kMaxVectors vectors of columns.
template <class T>
void column_strip(Block<T> block, int64_t rows, int64_t columns) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  if constexpr (kMaxRows >= 8) rows = rows_loop<8>(block, rows, columns, lanes);
  rows = rows_loop<4>(block, rows, columns, lanes);
  rows = rows_loop<2>(block, rows, columns, lanes);
  rows_loop<1>(block, rows, columns, lanes);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu::gemm_kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
