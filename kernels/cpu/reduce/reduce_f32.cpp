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
HWY_INLINE double sum_run(const float* HWY_RESTRICT data, int64_t count, double total) {
  const hn::ScalableTag<float> d;
  static_assert(HWY_HAVE_SCALABLE ||
                kRunPiece % (kBlockVectors * hn::MaxLanes(hn::ScalableTag<float>())) == 0);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto term = [](auto v) HWY_ATTR {
    if constexpr (kSquare)
      return hn::Mul(v, v);
    else
      return v;
  };
  const int64_t block = kBlockVectors * lanes;
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

double SumRun(const float* data, int64_t count, double total) {
  return sum_run<false>(data, count, total);
}
double SumOfSquaresRun(const float* data, int64_t count) { return sum_run<true>(data, count, 0); }

/// The extreme of a run in two vectors, so that each waits for the other's last instruction only.
template <bool kMax>
struct Extreme {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  static constexpr float kWorst =
      kMax ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();

  static HWY_INLINE V better(V a, V b) { return kMax ? max_with_nan(a, b) : min_with_nan(a, b); }

  static HWY_INLINE void extend(const float* HWY_RESTRICT data, int64_t count, V& a, V& b) {
    const D d;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    int64_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
      a = better(a, hn::LoadU(d, data + i));
      b = better(b, hn::LoadU(d, data + i + lanes));
    }
    for (; i + lanes <= count; i += lanes) a = better(a, hn::LoadU(d, data + i));
    if (i < count) b = better(b, load_part(d, data + i, count - i, kWorst));
  }
  static HWY_INLINE float finish(V a, V b) {
    const D d;
    if constexpr (kMax) return max_lanes_with_nan(d, better(a, b));
    return -max_lanes_with_nan(d, hn::Neg(better(a, b)));
  }
  static HWY_INLINE float run(const float* data, int64_t count) {
    V a = hn::Set(D(), kWorst), b = a;
    extend(data, count, a, b);
    return finish(a, b);
  }

  static HWY_INLINE void begin(ExtremeLanes& lanes) {
    hn::Store(hn::Set(D(), kWorst), D(), lanes.first);
    hn::Store(hn::Set(D(), kWorst), D(), lanes.second);
  }
  static HWY_INLINE void extend(const float* data, int64_t count, ExtremeLanes& lanes) {
    V a = hn::Load(D(), lanes.first), b = hn::Load(D(), lanes.second);
    extend(data, count, a, b);
    hn::Store(a, D(), lanes.first);
    hn::Store(b, D(), lanes.second);
  }
  static HWY_INLINE float finish(const ExtremeLanes& lanes) {
    return finish(hn::Load(D(), lanes.first), hn::Load(D(), lanes.second));
  }
};

float MaxRun(const float* data, int64_t count) { return Extreme<true>::run(data, count); }
float MinRun(const float* data, int64_t count) { return Extreme<false>::run(data, count); }
void BeginMax(ExtremeLanes& lanes) { Extreme<true>::begin(lanes); }
void BeginMin(ExtremeLanes& lanes) { Extreme<false>::begin(lanes); }
void ExtendMax(const float* data, int64_t count, ExtremeLanes& lanes) {
  Extreme<true>::extend(data, count, lanes);
}
void ExtendMin(const float* data, int64_t count, ExtremeLanes& lanes) {
  Extreme<false>::extend(data, count, lanes);
}
float FinishMax(const ExtremeLanes& lanes) { return Extreme<true>::finish(lanes); }
float FinishMin(const ExtremeLanes& lanes) { return Extreme<false>::finish(lanes); }

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
HWY_EXPORT(BeginMax);
HWY_EXPORT(BeginMin);
HWY_EXPORT(ExtendMax);
HWY_EXPORT(ExtendMin);
HWY_EXPORT(FinishMax);
HWY_EXPORT(FinishMin);
HWY_EXPORT(SumColumns);
HWY_EXPORT(MaxColumns);
HWY_EXPORT(MinColumns);

double sum_run_f32(const float* data, int64_t count, double total) {
  return HWY_DYNAMIC_DISPATCH(SumRun)(data, count, total);
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
void begin_max_f32(ExtremeLanes& lanes) { HWY_DYNAMIC_DISPATCH(BeginMax)(lanes); }
void begin_min_f32(ExtremeLanes& lanes) { HWY_DYNAMIC_DISPATCH(BeginMin)(lanes); }
void extend_max_f32(const float* data, int64_t count, ExtremeLanes& lanes) {
  HWY_DYNAMIC_DISPATCH(ExtendMax)(data, count, lanes);
}
void extend_min_f32(const float* data, int64_t count, ExtremeLanes& lanes) {
  HWY_DYNAMIC_DISPATCH(ExtendMin)(data, count, lanes);
}
float finish_max_f32(const ExtremeLanes& lanes) { return HWY_DYNAMIC_DISPATCH(FinishMax)(lanes); }
float finish_min_f32(const ExtremeLanes& lanes) { return HWY_DYNAMIC_DISPATCH(FinishMin)(lanes); }
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
