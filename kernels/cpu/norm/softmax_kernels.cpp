#include "kernels/cpu/norm/softmax_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm/softmax_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
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

template <class T>
HWY_INLINE T row_max(int64_t count, const T* x) {
  const hn::ScalableTag<T> d;
  const T least = -std::numeric_limits<T>::infinity();
  auto best = hn::Set(d, least);
  for_vectors(d, count,
              [&](auto load, auto) HWY_ATTR { best = max_with_nan(best, load(x, least)); });
  return max_lanes_with_nan(d, best);
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
template <class T>
HWY_INLINE void short_row_forward(int64_t count, const T* x, T* y, bool logarithm) {
  const hn::ScalableTag<T> d;
  const auto value = load_part(d, x, count, -std::numeric_limits<T>::infinity());
  const auto shifted = hn::Sub(value, hn::Set(d, max_lanes_with_nan(d, value)));
  const auto e =
      hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count)), exponential(d, shifted));
  const T sum = sum_lanes(d, e);
  const auto result =
      logarithm ? hn::Sub(shifted, hn::Set(d, log(sum))) : hn::Mul(e, hn::Set(d, T(1) / sum));
  store_part(d, result, y, count);
}

template <class T>
void row_forward(int64_t count, const T* x, T* y, bool logarithm) {
  const hn::ScalableTag<T> d;
  if (count < static_cast<int64_t>(hn::Lanes(d))) return short_row_forward(count, x, y, logarithm);
  const T high = row_max(count, x);
  const T sum = row_exp_sum(count, x, high, logarithm ? nullptr : y);
  if (logarithm) {
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

template <class T>
void row_backward(int64_t count, const T* y, const T* dy, T* dx, bool logarithm) {
  const hn::ScalableTag<T> d;
  auto sum = hn::Zero(d);
  for_vectors(d, count, [&](auto load, auto) HWY_ATTR {
    const auto g = load(dy, T(0));
    sum = hn::Add(sum, logarithm ? g : hn::Mul(load(y, T(0)), g));
  });
  const auto total = hn::Set(d, sum_lanes(d, sum));
  for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
    const auto g = load(dy, T(0)), value = load(y, T(0));
    store(logarithm ? hn::Sub(g, hn::Mul(exponential(d, value), total))
                    : hn::Mul(value, hn::Sub(g, total)),
          dx);
  });
}

template <class T>
T row_logsumexp(int64_t count, const T* x) {
  const T high = row_max(count, x);
  const T shift = std::isinf(high) ? T(0) : high;
  return log(row_exp_sum<T>(count, x, shift, nullptr)) + shift;
}

template <class T>
void row_scaled_exponential(int64_t count, const T* x, T shift, T scale, T* y) {
  const hn::ScalableTag<T> d;
  const auto shifts = hn::Set(d, shift), scales = hn::Set(d, scale);
  for_vectors(d, count, [&](auto load, auto store) HWY_ATTR {
    store(hn::Mul(exponential(d, hn::Sub(load(x, T(0)), shifts)), scales), y);
  });
}

// Maximum and sum of exponentials of each column.
template <class T>
struct ColumnSums {
  HWY_ALIGN T high[kSoftmaxColumns];
  HWY_ALIGN T sum[kSoftmaxColumns];
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

template <class T>
void columns_forward(int64_t axis, int64_t stride, int64_t columns, const T* x, T* y,
                     bool logarithm) {
  ColumnSums<T> s;
  column_sums<false>(axis, stride, columns, x, logarithm ? nullptr : y, s);
  for (int64_t c = 0; c < columns; ++c) s.sum[c] = logarithm ? log(s.sum[c]) : T(1) / s.sum[c];
  for (int64_t i = 0; i < axis; ++i) {
    const T* from = x + i * stride;
    T* to = y + i * stride;
    if (logarithm) {
      for (int64_t c = 0; c < columns; ++c) to[c] = (from[c] - s.high[c]) - s.sum[c];
    } else {
      for (int64_t c = 0; c < columns; ++c) to[c] *= s.sum[c];
    }
  }
}

template <class T>
void columns_backward(int64_t axis, int64_t stride, int64_t columns, const T* y, const T* dy, T* dx,
                      bool logarithm) {
  const hn::ScalableTag<T> d;
  HWY_ALIGN T sum[kSoftmaxColumns] = {};
  for (int64_t i = 0; i < axis; ++i) {
    const T *g = dy + i * stride, *v = y + i * stride;
    for (int64_t c = 0; c < columns; ++c) sum[c] += logarithm ? g[c] : v[c] * g[c];
  }
  for (int64_t i = 0; i < axis; ++i) {
    for_vectors(d, columns, [&](auto load, auto store) HWY_ATTR {
      const auto g = load(dy + i * stride, T(0)), value = load(y + i * stride, T(0)),
                 total = load(sum, T(0));
      store(logarithm ? hn::Sub(g, hn::Mul(exponential(d, value), total))
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

void RowF32(int64_t n, const float* x, float* y, bool l) { row_forward(n, x, y, l); }
void RowF64(int64_t n, const double* x, double* y, bool l) { row_forward(n, x, y, l); }
void RowBackwardF32(int64_t n, const float* y, const float* g, float* dx, bool l) {
  row_backward(n, y, g, dx, l);
}
void RowBackwardF64(int64_t n, const double* y, const double* g, double* dx, bool l) {
  row_backward(n, y, g, dx, l);
}
float LogSumExpF32(int64_t n, const float* x) { return row_logsumexp(n, x); }
double LogSumExpF64(int64_t n, const double* x) { return row_logsumexp(n, x); }
void ScaledF32(int64_t n, const float* x, float shift, float scale, float* y) {
  row_scaled_exponential(n, x, shift, scale, y);
}
void ScaledF64(int64_t n, const double* x, double shift, double scale, double* y) {
  row_scaled_exponential(n, x, shift, scale, y);
}
void ColumnsF32(int64_t a, int64_t s, int64_t c, const float* x, float* y, bool l) {
  columns_forward(a, s, c, x, y, l);
}
void ColumnsF64(int64_t a, int64_t s, int64_t c, const double* x, double* y, bool l) {
  columns_forward(a, s, c, x, y, l);
}
void ColumnsBackwardF32(int64_t a, int64_t s, int64_t c, const float* y, const float* g, float* dx,
                        bool l) {
  columns_backward(a, s, c, y, g, dx, l);
}
void ColumnsBackwardF64(int64_t a, int64_t s, int64_t c, const double* y, const double* g,
                        double* dx, bool l) {
  columns_backward(a, s, c, y, g, dx, l);
}
void ColumnsLogF32(int64_t a, int64_t s, int64_t c, const float* x, float* o) {
  columns_logsumexp(a, s, c, x, o);
}
void ColumnsLogF64(int64_t a, int64_t s, int64_t c, const double* x, double* o) {
  columns_logsumexp(a, s, c, x, o);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(RowF32);
HWY_EXPORT(RowF64);
HWY_EXPORT(RowBackwardF32);
HWY_EXPORT(RowBackwardF64);
HWY_EXPORT(LogSumExpF32);
HWY_EXPORT(LogSumExpF64);
HWY_EXPORT(ScaledF32);
HWY_EXPORT(ScaledF64);
HWY_EXPORT(ColumnsF32);
HWY_EXPORT(ColumnsF64);
HWY_EXPORT(ColumnsBackwardF32);
HWY_EXPORT(ColumnsBackwardF64);
HWY_EXPORT(ColumnsLogF32);
HWY_EXPORT(ColumnsLogF64);

void softmax_row(int64_t count, const float* x, float* y, bool logarithm) {
  HWY_DYNAMIC_DISPATCH(RowF32)(count, x, y, logarithm);
}
void softmax_row(int64_t count, const double* x, double* y, bool logarithm) {
  HWY_DYNAMIC_DISPATCH(RowF64)(count, x, y, logarithm);
}
void softmax_row_backward(int64_t count, const float* y, const float* dy, float* dx,
                          bool logarithm) {
  HWY_DYNAMIC_DISPATCH(RowBackwardF32)(count, y, dy, dx, logarithm);
}
void softmax_row_backward(int64_t count, const double* y, const double* dy, double* dx,
                          bool logarithm) {
  HWY_DYNAMIC_DISPATCH(RowBackwardF64)(count, y, dy, dx, logarithm);
}
float logsumexp_row(int64_t count, const float* x) {
  return HWY_DYNAMIC_DISPATCH(LogSumExpF32)(count, x);
}
double logsumexp_row(int64_t count, const double* x) {
  return HWY_DYNAMIC_DISPATCH(LogSumExpF64)(count, x);
}
void scaled_exponential_row(int64_t count, const float* x, float shift, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaledF32)(count, x, shift, scale, y);
}
void scaled_exponential_row(int64_t count, const double* x, double shift, double scale, double* y) {
  HWY_DYNAMIC_DISPATCH(ScaledF64)(count, x, shift, scale, y);
}
void softmax_columns(int64_t axis, int64_t stride, int64_t columns, const float* x, float* y,
                     bool logarithm) {
  HWY_DYNAMIC_DISPATCH(ColumnsF32)(axis, stride, columns, x, y, logarithm);
}
void softmax_columns(int64_t axis, int64_t stride, int64_t columns, const double* x, double* y,
                     bool logarithm) {
  HWY_DYNAMIC_DISPATCH(ColumnsF64)(axis, stride, columns, x, y, logarithm);
}
void softmax_columns_backward(int64_t axis, int64_t stride, int64_t columns, const float* y,
                              const float* dy, float* dx, bool logarithm) {
  HWY_DYNAMIC_DISPATCH(ColumnsBackwardF32)(axis, stride, columns, y, dy, dx, logarithm);
}
void softmax_columns_backward(int64_t axis, int64_t stride, int64_t columns, const double* y,
                              const double* dy, double* dx, bool logarithm) {
  HWY_DYNAMIC_DISPATCH(ColumnsBackwardF64)(axis, stride, columns, y, dy, dx, logarithm);
}
void logsumexp_columns(int64_t axis, int64_t stride, int64_t columns, const float* x, float* out) {
  HWY_DYNAMIC_DISPATCH(ColumnsLogF32)(axis, stride, columns, x, out);
}
void logsumexp_columns(int64_t axis, int64_t stride, int64_t columns, const double* x,
                       double* out) {
  HWY_DYNAMIC_DISPATCH(ColumnsLogF64)(axis, stride, columns, x, out);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
