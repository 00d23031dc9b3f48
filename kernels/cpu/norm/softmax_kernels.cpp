#include "kernels/cpu/norm/softmax_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/norm/line_kernels.h"
#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm/softmax_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/norm/lines-inl.h"
#include "kernels/cpu/vector/functions-inl.h"
#include "kernels/cpu/vector/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

// e^x as the elementwise kernel computes it.
template <class D>
HWY_INLINE hn::Vec<D> exponential(D d, hn::Vec<D> x) {
  return as_vector(d, exp(as_number(d, x)));
}

// Calls body(i, load, store) over a row, where load(p, fill) gives lanes i... of p and store(v, p)
// puts them back; the last call may see fewer than a whole vector.
template <class D, class T = hn::TFromD<D>, class Body>
HWY_INLINE void for_vectors(D d, int64_t count, Body&& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    body([=](const T* p, T) HWY_ATTR { return hn::LoadU(d, p + i); },
         [=](hn::Vec<D> v, T* p) HWY_ATTR { hn::StoreU(v, d, p + i); });
  }
  if (i < count) {
    body([=](const T* p, T fill) HWY_ATTR { return load_part(d, p + i, count - i, fill); },
         [=](hn::Vec<D> v, T* p) HWY_ATTR { store_part(d, v, p + i, count - i); });
  }
}

/// The greatest number of a row. NaN may be passed over: what is computed from the row with the
/// result is NaN anyway. Four chains, since each maximum waits for the one before.
template <class T>
HWY_INLINE T row_max(int64_t count, const T* x) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const T least = -std::numeric_limits<T>::infinity();
  auto a = hn::Set(d, least), b = a, c = a, e = a;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    a = hn::Max(hn::LoadU(d, x + i), a);
    b = hn::Max(hn::LoadU(d, x + i + lanes), b);
    c = hn::Max(hn::LoadU(d, x + i + 2 * lanes), c);
    e = hn::Max(hn::LoadU(d, x + i + 3 * lanes), e);
  }
  for (; i + lanes <= count; i += lanes) a = hn::Max(hn::LoadU(d, x + i), a);
  if (i < count) b = hn::Max(load_part(d, x + i, count - i, least), b);
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(a, b), hn::Max(c, e))));
}

// Sum of exp(x - shift); `y`, if given, receives the terms.
template <class T>
HWY_INLINE T row_exp_sum(int64_t count, const T* x, T shift, T* y) {
  const hn::ScalableTag<T> d;
  const auto shifts = hn::Set(d, shift);
  const T least = -std::numeric_limits<T>::infinity();
  auto sum = hn::Zero(d);
  for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
    const auto e = exponential(d, hn::Sub(load(x, least), shifts));
    if (y) store(e, y);
    sum = hn::Add(sum, e);
  });
  return sum_lanes(d, sum);
}

// A row that fits one vector stays in registers: a masked store followed by a load of it would
// stall.
template <bool kLogarithm, class T>
HWY_INLINE void short_row_forward(int64_t count, const T* x, T* y) {
  const hn::ScalableTag<T> d;
  const auto value = load_part(d, x, count, -std::numeric_limits<T>::infinity());
  const auto shifted = hn::Sub(value, hn::Set(d, max_lanes_with_nan(d, value)));
  const auto e =
      hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count)), exponential(d, shifted));
  const T sum = sum_lanes(d, e);
  const auto result =
      kLogarithm ? hn::Sub(shifted, hn::Set(d, log(sum))) : hn::Mul(e, hn::Set(d, T(1) / sum));
  store_part(d, result, y, count);
}

template <bool kLogarithm, class T>
void row_forward(int64_t count, const T* x, T* y) {
  const hn::ScalableTag<T> d;
  if (count < static_cast<int64_t>(hn::Lanes(d))) return short_row_forward<kLogarithm>(count, x, y);
  const T high = row_max(count, x);
  const T sum = row_exp_sum(count, x, high, kLogarithm ? nullptr : y);
  if (kLogarithm) {
    const auto shifts = hn::Set(d, high), logs = hn::Set(d, log(sum));
    for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
      store(hn::Sub(hn::Sub(load(x, T(0)), shifts), logs), y);
    });
  } else {
    const auto scale = hn::Set(d, T(1) / sum);
    for_vectors(d, count,
                [&](auto load, auto store) HWY_ATTR { store(hn::Mul(load(y, T(0)), scale), y); });
  }
}

template <bool kLogarithm, class T>
void row_backward(int64_t count, const T* y, const T* dy, T* dx) {
  const hn::ScalableTag<T> d;
  auto sum = hn::Zero(d);
  for_vectors(d, count, [&](auto load, auto) HWY_ATTR {
    const auto g = load(dy, T(0));
    sum = hn::Add(sum, kLogarithm ? g : hn::Mul(load(y, T(0)), g));
  });
  const auto total = hn::Set(d, sum_lanes(d, sum));
  for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
    const auto g = load(dy, T(0)), value = load(y, T(0));
    store(kLogarithm ? hn::Sub(g, hn::Mul(exponential(d, value), total))
                     : hn::Mul(value, hn::Sub(g, total)),
          dx);
  });
}

template <class T>
T row_exponent_shift(int64_t count, const T* x) {
  const T high = row_max(count, x);
  return std::isinf(high) ? T(0) : high;
}

template <class T>
T row_log_sum(int64_t count, const T* x, T shift) {
  return log(row_exp_sum<T>(count, x, shift, nullptr));
}

template <class T>
T row_logsumexp(int64_t count, const T* x) {
  const T shift = row_exponent_shift(count, x);
  return row_log_sum(count, x, shift) + shift;
}

template <class T>
void row_scaled_shares(int64_t count, const T* x, T shift, T log_sum, T scale, T* y) {
  const hn::ScalableTag<T> d;
  const auto shifts = hn::Set(d, shift), logs = hn::Set(d, log_sum), scales = hn::Set(d, scale);
  for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
    const auto distance = hn::Sub(hn::Sub(load(x, T(0)), shifts), logs);
    store(hn::Mul(exponential(d, distance), scales), y);
  });
}

// Maximum and sum of exponentials of each column.
template <class T>
struct ColumnSums {
  HWY_ALIGN T high[kLineColumns];
  HWY_ALIGN T sum[kLineColumns];
};

template <bool kFiniteShift, class T>
HWY_INLINE void column_sums(int64_t axis, int64_t stride, int64_t columns, const T* x, T* y,
                            ColumnSums<T>& s) {
  const hn::ScalableTag<T> d;
  std::fill_n(s.high, columns, -std::numeric_limits<T>::infinity());
  std::fill_n(s.sum, columns, T(0));
  for (int64_t i = 0; i < axis; ++i) {
    const T* row = x + i * stride;
    for (int64_t c = 0; c < columns; ++c)
      s.high[c] = (row[c] > s.high[c] || row[c] != row[c]) ? row[c] : s.high[c];
  }
  if constexpr (kFiniteShift) {
    for (int64_t c = 0; c < columns; ++c) s.high[c] = std::isinf(s.high[c]) ? T(0) : s.high[c];
  }
  for (int64_t i = 0; i < axis; ++i) {
    for_vectors(d, columns, [&](auto load, auto store) HWY_ATTR {
      const auto e = exponential(d, hn::Sub(load(x + i * stride, T(0)), load(s.high, T(0))));
      if (y) store(e, y + i * stride);
      store(hn::Add(load(s.sum, T(0)), e), s.sum);
    });
  }
}

template <bool kLogarithm, class T>
void columns_forward(int64_t axis, int64_t stride, int64_t columns, const T* x, T* y) {
  ColumnSums<T> s;
  column_sums<false>(axis, stride, columns, x, kLogarithm ? nullptr : y, s);
  for (int64_t c = 0; c < columns; ++c) s.sum[c] = kLogarithm ? log(s.sum[c]) : T(1) / s.sum[c];
  for (int64_t i = 0; i < axis; ++i) {
    const T* from = x + i * stride;
    T* to = y + i * stride;
    if (kLogarithm) {
      for (int64_t c = 0; c < columns; ++c) to[c] = (from[c] - s.high[c]) - s.sum[c];
    } else {
      for (int64_t c = 0; c < columns; ++c) to[c] *= s.sum[c];
    }
  }
}

template <bool kLogarithm, class T>
void columns_backward(int64_t axis, int64_t stride, int64_t columns, const T* y, const T* dy,
                      T* dx) {
  const hn::ScalableTag<T> d;
  HWY_ALIGN T sum[kLineColumns] = {};
  for (int64_t i = 0; i < axis; ++i) {
    const T *g = dy + i * stride, *v = y + i * stride;
    for (int64_t c = 0; c < columns; ++c) sum[c] += kLogarithm ? g[c] : v[c] * g[c];
  }
  for (int64_t i = 0; i < axis; ++i) {
    for_vectors(d, columns, [&](auto load, auto store) HWY_ATTR {
      const auto g = load(dy + i * stride, T(0)), value = load(y + i * stride, T(0)),
                 total = load(sum, T(0));
      store(kLogarithm ? hn::Sub(g, hn::Mul(exponential(d, value), total))
                       : hn::Mul(value, hn::Sub(g, total)),
            dx + i * stride);
    });
  }
}

template <class T>
void columns_logsumexp(int64_t axis, int64_t stride, int64_t columns, const T* x, T* out) {
  ColumnSums<T> s;
  column_sums<true, T>(axis, stride, columns, x, nullptr, s);
  for (int64_t c = 0; c < columns; ++c) out[c] = log(s.sum[c]) + s.high[c];
}

template <bool kLogarithm>
struct Softmax {
  template <class T>
  static void row(int64_t count, const T* const* in, T* out) {
    row_forward<kLogarithm>(count, in[0], out);
  }
  template <class T>
  static void columns(int64_t axis, int64_t stride, int64_t columns, const T* const* in, T* out) {
    columns_forward<kLogarithm>(axis, stride, columns, in[0], out);
  }
};

template <bool kLogarithm>
struct SoftmaxBackward {
  template <class T>
  static void row(int64_t count, const T* const* in, T* out) {
    row_backward<kLogarithm>(count, in[0], in[1], out);
  }
  template <class T>
  static void columns(int64_t axis, int64_t stride, int64_t columns, const T* const* in, T* out) {
    columns_backward<kLogarithm>(axis, stride, columns, in[0], in[1], out);
  }
};

struct LogSumExp {
  template <class T>
  static void row(int64_t count, const T* const* in, T* out) {
    *out = row_logsumexp(count, in[0]);
  }
  template <class T>
  static void columns(int64_t axis, int64_t stride, int64_t columns, const T* const* in, T* out) {
    columns_logsumexp(axis, stride, columns, in[0], out);
  }
};

LINNET_SOFTMAX_LINES(LINNET_LINE_FUNCTIONS)

float ShiftF32(int64_t n, const float* x) { return row_exponent_shift(n, x); }
double ShiftF64(int64_t n, const double* x) { return row_exponent_shift(n, x); }
float LogSumF32(int64_t n, const float* x, float shift) { return row_log_sum(n, x, shift); }
double LogSumF64(int64_t n, const double* x, double shift) { return row_log_sum(n, x, shift); }
void SharesF32(int64_t n, const float* x, float shift, float log_sum, float scale, float* y) {
  row_scaled_shares(n, x, shift, log_sum, scale, y);
}
void SharesF64(int64_t n, const double* x, double shift, double log_sum, double scale, double* y) {
  row_scaled_shares(n, x, shift, log_sum, scale, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

LINNET_SOFTMAX_LINES(LINNET_LINE_TABLES)

HWY_EXPORT(ShiftF32);
HWY_EXPORT(ShiftF64);
HWY_EXPORT(LogSumF32);
HWY_EXPORT(LogSumF64);
HWY_EXPORT(SharesF32);
HWY_EXPORT(SharesF64);

float exponent_shift_of_row(int64_t count, const float* x) {
  return HWY_DYNAMIC_DISPATCH(ShiftF32)(count, x);
}
double exponent_shift_of_row(int64_t count, const double* x) {
  return HWY_DYNAMIC_DISPATCH(ShiftF64)(count, x);
}
float log_sum_of_row(int64_t count, const float* x, float shift) {
  return HWY_DYNAMIC_DISPATCH(LogSumF32)(count, x, shift);
}
double log_sum_of_row(int64_t count, const double* x, double shift) {
  return HWY_DYNAMIC_DISPATCH(LogSumF64)(count, x, shift);
}
void scaled_shares_of_row(int64_t count, const float* x, float shift, float log_sum, float scale,
                          float* y) {
  HWY_DYNAMIC_DISPATCH(SharesF32)(count, x, shift, log_sum, scale, y);
}
void scaled_shares_of_row(int64_t count, const double* x, double shift, double log_sum,
                          double scale, double* y) {
  HWY_DYNAMIC_DISPATCH(SharesF64)(count, x, shift, log_sum, scale, y);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
