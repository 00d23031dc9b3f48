#include "kernels/cpu/reduce/reduce_f32.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce/reduce_f32.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/vector/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

// A block is summed in float, blocks are added in double: the rounding error stays near one float
// ulp of the sum of magnitudes whatever the length. A block is this many vectors, so that a lane
// adds as few numbers with short vectors as with long ones.
constexpr int64_t kBlockVectors = 64;

template <bool kSquare>
HWY_INLINE double sum_run(const float* HWY_RESTRICT data, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto term = [](auto v) HWY_ATTR {
    if constexpr (kSquare)
      return hn::Mul(v, v);
    else
      return v;
  };
  const int64_t block = kBlockVectors * lanes;
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += block) {
    const int64_t end = std::min(count, begin + block);
    auto a = hn::Zero(d), b = a, c = a, e = a;
    int64_t i = begin;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      a = hn::Add(a, term(hn::LoadU(d, data + i)));
      b = hn::Add(b, term(hn::LoadU(d, data + i + lanes)));
      c = hn::Add(c, term(hn::LoadU(d, data + i + 2 * lanes)));
      e = hn::Add(e, term(hn::LoadU(d, data + i + 3 * lanes)));
    }
    for (; i + lanes <= end; i += lanes) a = hn::Add(a, term(hn::LoadU(d, data + i)));
    if (i < end) b = hn::Add(b, term(load_part(d, data + i, end - i, 0.0f)));
    total += sum_lanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e)));
  }
  return total;
}

double SumRun(const float* data, int64_t count) { return sum_run<false>(data, count); }
double SumOfSquaresRun(const float* data, int64_t count) { return sum_run<true>(data, count); }

float MaxRun(const float* data, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float least = -std::numeric_limits<float>::infinity();
  auto a = hn::Set(d, least), b = a;
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    a = max_with_nan(a, hn::LoadU(d, data + i));
    b = max_with_nan(b, hn::LoadU(d, data + i + lanes));
  }
  for (; i + lanes <= count; i += lanes) a = max_with_nan(a, hn::LoadU(d, data + i));
  if (i < count) b = max_with_nan(b, load_part(d, data + i, count - i, least));
  return max_lanes_with_nan(d, max_with_nan(a, b));
}

float MinRun(const float* data, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float greatest = std::numeric_limits<float>::infinity();
  auto a = hn::Set(d, greatest), b = a;
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    a = min_with_nan(a, hn::LoadU(d, data + i));
    b = min_with_nan(b, hn::LoadU(d, data + i + lanes));
  }
  for (; i + lanes <= count; i += lanes) a = min_with_nan(a, hn::LoadU(d, data + i));
  if (i < count) b = min_with_nan(b, load_part(d, data + i, count - i, greatest));
  return -max_lanes_with_nan(d, hn::Neg(min_with_nan(a, b)));
}

// Adds up to 128 rows to `sums` in float, four rows at a time so that the sums are loaded less
// often.
void add_rows(const float* HWY_RESTRICT data, int64_t rows, int64_t row_stride, int64_t columns,
              float* HWY_RESTRICT sums) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const float* HWY_RESTRICT p0 = data + row * row_stride;
    const float* HWY_RESTRICT p1 = p0 + row_stride;
    const float* HWY_RESTRICT p2 = p1 + row_stride;
    const float* HWY_RESTRICT p3 = p2 + row_stride;
    for (int64_t c = 0; c < columns; ++c) sums[c] += (p0[c] + p1[c]) + (p2[c] + p3[c]);
  }
  for (; row < rows; ++row) {
    const float* HWY_RESTRICT p = data + row * row_stride;
    for (int64_t c = 0; c < columns; ++c) sums[c] += p[c];
  }
}

void SumColumns(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                double* sums) {
  constexpr int64_t kRows = 128;
  constexpr int64_t kTile = 1024;
  HWY_ALIGN float block[kTile];
  for (int64_t begin = 0; begin < columns; begin += kTile) {
    const int64_t width = std::min(kTile, columns - begin);
    for (int64_t row = 0; row < rows; row += kRows) {
      std::fill_n(block, width, 0.0f);
      add_rows(data + row * row_stride + begin, std::min(kRows, rows - row), row_stride, width,
               block);
      for (int64_t c = 0; c < width; ++c) sums[begin + c] += block[c];
    }
  }
}

template <bool kMax>
HWY_INLINE void extreme_columns(const float* HWY_RESTRICT data, int64_t rows, int64_t row_stride,
                                int64_t columns, float* HWY_RESTRICT best) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t row = 0; row < rows; ++row) {
    const float* HWY_RESTRICT p = data + row * row_stride;
    int64_t c = 0;
    for (; c + lanes <= columns; c += lanes) {
      const auto old = hn::LoadU(d, best + c), value = hn::LoadU(d, p + c);
      hn::StoreU(kMax ? max_with_nan(old, value) : min_with_nan(old, value), d, best + c);
    }
    for (; c < columns; ++c) {
      const bool better = kMax ? p[c] > best[c] : p[c] < best[c];
      if (better || p[c] != p[c]) best[c] = p[c];
    }
  }
}

void MaxColumns(const float* data, int64_t rows, int64_t row_stride, int64_t columns, float* best) {
  extreme_columns<true>(data, rows, row_stride, columns, best);
}
void MinColumns(const float* data, int64_t rows, int64_t row_stride, int64_t columns, float* best) {
  extreme_columns<false>(data, rows, row_stride, columns, best);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(SumRun);
HWY_EXPORT(SumOfSquaresRun);
HWY_EXPORT(MaxRun);
HWY_EXPORT(MinRun);
HWY_EXPORT(SumColumns);
HWY_EXPORT(MaxColumns);
HWY_EXPORT(MinColumns);

double sum_run_f32(const float* data, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(SumRun)(data, count);
}
double sum_of_squares_run_f32(const float* data, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaresRun)(data, count);
}
float max_run_f32(const float* data, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(MaxRun)(data, count);
}
float min_run_f32(const float* data, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(MinRun)(data, count);
}
void sum_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     double* sums) {
  HWY_DYNAMIC_DISPATCH(SumColumns)(data, rows, row_stride, columns, sums);
}
void max_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best) {
  HWY_DYNAMIC_DISPATCH(MaxColumns)(data, rows, row_stride, columns, best);
}
void min_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best) {
  HWY_DYNAMIC_DISPATCH(MinColumns)(data, rows, row_stride, columns, best);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
