#include "kernels/cpu/norm/norm_kernels.h"

#include "kernels/cpu/vector/independent.h"
#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm/norm_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/vector/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

// Sums need explicit vectors, since the compiler may not reorder them. The loops without a carried
// sum are left to the compiler, which vectorises them for the instruction set of this namespace.

// Sum over a row of term(i-th vectors), two chains.
template <class T, class Term>
HWY_INLINE T sum_row(int64_t count, Term&& term) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a;
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    a = hn::Add(a, term([=](const T* p) HWY_ATTR { return hn::LoadU(d, p + i); }));
    b = hn::Add(b, term([=](const T* p) HWY_ATTR { return hn::LoadU(d, p + i + lanes); }));
  }
  for (; i + lanes <= count; i += lanes) {
    a = hn::Add(a, term([=](const T* p) HWY_ATTR { return hn::LoadU(d, p + i); }));
  }
  if (i < count) {
    // Terms of the filling must not count: a row of zeros minus a mean is not zero.
    const auto last =
        term([=](const T* p) HWY_ATTR { return load_part(d, p + i, count - i, T(0)); });
    b = hn::Add(b, hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count - i)), last));
  }
  return sum_lanes(d, hn::Add(a, b));
}

template <class T>
RowMoments<T> moments(int64_t count, const T* x) {
  const hn::ScalableTag<T> d;
  const T mean =
      sum_row<T>(count, [=](auto load) HWY_ATTR { return load(x); }) / static_cast<T>(count);
  const auto means = hn::Set(d, mean);
  const T squares = sum_row<T>(count, [=](auto load) HWY_ATTR {
    const auto deviation = hn::Sub(load(x), means);
    return hn::Mul(deviation, deviation);
  });
  return {mean, squares / static_cast<T>(count)};
}

template <class T>
T mean_square(int64_t count, const T* x) {
  const T squares = sum_row<T>(count, [=](auto load) HWY_ATTR {
    const auto value = load(x);
    return hn::Mul(value, value);
  });
  return squares / static_cast<T>(count);
}

template <class T>
void normalize(int64_t count, const T* HWY_RESTRICT x, T mean, T rstd, const T* HWY_RESTRICT scale,
               const T* HWY_RESTRICT bias, T* HWY_RESTRICT y) {
  if (scale && bias) {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * (rstd * scale[i]) + bias[i];
  } else if (scale) {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * (rstd * scale[i]);
  } else if (bias) {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * rstd + bias[i];
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * rstd;
  }
}

template <class T>
void normalize_backward(int64_t count, const T* x, T mean, T rstd, const T* scale, const T* dy,
                        bool centered, T* dx, T* HWY_RESTRICT dscale, T* HWY_RESTRICT dbias) {
  const hn::ScalableTag<T> d;
  const auto means = hn::Set(d, mean), rstds = hn::Set(d, rstd);
  const T length = static_cast<T>(count);
  const auto scaled = [=](auto load)
                          HWY_ATTR { return scale ? hn::Mul(load(dy), load(scale)) : load(dy); };
  const T offset = centered ? sum_row<T>(count, scaled) / length : T(0);
  const T slope =
      sum_row<T>(count,
                 [=](auto load) HWY_ATTR {
                   return hn::Mul(scaled(load), hn::Mul(hn::Sub(load(x), means), rstds));
                 }) /
      length;
  if (dscale) {
    for (int64_t i = 0; i < count; ++i) dscale[i] += dy[i] * ((x[i] - mean) * rstd);
  }
  if (dbias) {
    for (int64_t i = 0; i < count; ++i) dbias[i] += dy[i];
  }
  if (scale) {
    for (int64_t i = 0; i < count; ++i)
      dx[i] = rstd * (dy[i] * scale[i] - offset - (x[i] - mean) * rstd * slope);
  } else {
    for (int64_t i = 0; i < count; ++i)
      dx[i] = rstd * (dy[i] - offset - (x[i] - mean) * rstd * slope);
  }
}

template <class T>
void moments_of_columns(int64_t rows, int64_t columns, const T* x, const T* HWY_RESTRICT shift,
                        T* HWY_RESTRICT first, T* HWY_RESTRICT second) {
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2) {
    const T *HWY_RESTRICT p = x + row * columns, *HWY_RESTRICT q = p + columns;
    for (int64_t c = 0; c < columns; ++c) {
      const T a = p[c] - shift[c], b = q[c] - shift[c];
      first[c] += a + b;
      second[c] += a * a + b * b;
    }
  }
  for (; row < rows; ++row) {
    const T* HWY_RESTRICT p = x + row * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const T a = p[c] - shift[c];
      first[c] += a;
      second[c] += a * a;
    }
  }
}

template <class T>
void apply(int64_t rows, int64_t columns, const T* x, const T* HWY_RESTRICT mean,
           const T* HWY_RESTRICT factor, const T* HWY_RESTRICT bias, bool relu, T* y) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* from = x + row * columns;
    T* to = y + row * columns;  // may be `from`: no dependence between elements
    if (relu) {
      LINNET_INDEPENDENT
      for (int64_t c = 0; c < columns; ++c) {
        const T value = (from[c] - mean[c]) * factor[c] + bias[c];
        to[c] = value < T(0) ? T(0) : value;
      }
    } else {
      LINNET_INDEPENDENT
      for (int64_t c = 0; c < columns; ++c) to[c] = (from[c] - mean[c]) * factor[c] + bias[c];
    }
  }
}

template <class T>
void gradient_moments(int64_t rows, int64_t columns, const T* x, const T* HWY_RESTRICT mean,
                      const T* dy, const T* output, T* HWY_RESTRICT first, T* HWY_RESTRICT second) {
  for (int64_t row = 0; row < rows; ++row) {
    const T *HWY_RESTRICT from = x + row * columns, *HWY_RESTRICT g = dy + row * columns;
    if (output) {
      const T* HWY_RESTRICT o = output + row * columns;
      for (int64_t c = 0; c < columns; ++c) {
        const T gradient = o[c] > T(0) ? g[c] : T(0);
        first[c] += gradient;
        second[c] += gradient * (from[c] - mean[c]);
      }
    } else {
      for (int64_t c = 0; c < columns; ++c) {
        first[c] += g[c];
        second[c] += g[c] * (from[c] - mean[c]);
      }
    }
  }
}

template <class T>
void gradient(int64_t rows, int64_t columns, const T* x, const T* HWY_RESTRICT mean, const T* dy,
              const T* output, const T* HWY_RESTRICT factor, const T* HWY_RESTRICT offset,
              const T* HWY_RESTRICT slope, T* dx) {
  for (int64_t row = 0; row < rows; ++row) {
    const T *from = x + row * columns, *g = dy + row * columns;
    T* to = dx + row * columns;
    if (output) {
      const T* o = output + row * columns;
      for (int64_t c = 0; c < columns; ++c) {
        const T value = o[c] > T(0) ? g[c] : T(0);
        to[c] = factor[c] * (value - offset[c] - (from[c] - mean[c]) * slope[c]);
      }
    } else {
      for (int64_t c = 0; c < columns; ++c)
        to[c] = factor[c] * (g[c] - offset[c] - (from[c] - mean[c]) * slope[c]);
    }
  }
}

// The table of entry points of one element type and instruction set.
template <class T>
struct Kernels {
  RowMoments<T> (*moments)(int64_t, const T*);
  T (*mean_square)(int64_t, const T*);
  void (*normalize)(int64_t, const T*, T, T, const T*, const T*, T*);
  void (*normalize_backward)(int64_t, const T*, T, T, const T*, const T*, bool, T*, T*, T*);
  void (*moments_of_columns)(int64_t, int64_t, const T*, const T*, T*, T*);
  void (*apply)(int64_t, int64_t, const T*, const T*, const T*, const T*, bool, T*);
  void (*gradient_moments)(int64_t, int64_t, const T*, const T*, const T*, const T*, T*, T*);
  void (*gradient)(int64_t, int64_t, const T*, const T*, const T*, const T*, const T*, const T*,
                   const T*, T*);
};

template <class T>
const void* table() {
  static constexpr Kernels<T> kTable{
      moments<T>, mean_square<T>,      normalize<T>, normalize_backward<T>, moments_of_columns<T>,
      apply<T>,   gradient_moments<T>, gradient<T>};
  return &kTable;
}
const void* TableF32() { return table<float>(); }
const void* TableF64() { return table<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {
namespace {

HWY_EXPORT(TableF32);
HWY_EXPORT(TableF64);

// The layout of the table is the same for every instruction set.
using HWY_NAMESPACE::Kernels;
template <class T>
const Kernels<T>& kernels() {
  if constexpr (sizeof(T) == 4)
    return *static_cast<const Kernels<T>*>(HWY_DYNAMIC_DISPATCH(TableF32)());
  else
    return *static_cast<const Kernels<T>*>(HWY_DYNAMIC_DISPATCH(TableF64)());
}

}  // namespace

RowMoments<float> row_moments(int64_t count, const float* x) {
  return kernels<float>().moments(count, x);
}
RowMoments<double> row_moments(int64_t count, const double* x) {
  return kernels<double>().moments(count, x);
}
float row_mean_square(int64_t count, const float* x) {
  return kernels<float>().mean_square(count, x);
}
double row_mean_square(int64_t count, const double* x) {
  return kernels<double>().mean_square(count, x);
}

void normalize_row(int64_t count, const float* x, float mean, float rstd, const float* scale,
                   const float* bias, float* y) {
  kernels<float>().normalize(count, x, mean, rstd, scale, bias, y);
}
void normalize_row(int64_t count, const double* x, double mean, double rstd, const double* scale,
                   const double* bias, double* y) {
  kernels<double>().normalize(count, x, mean, rstd, scale, bias, y);
}
void normalize_row_backward(int64_t count, const float* x, float mean, float rstd,
                            const float* scale, const float* dy, bool centered, float* dx,
                            float* dscale, float* dbias) {
  kernels<float>().normalize_backward(count, x, mean, rstd, scale, dy, centered, dx, dscale, dbias);
}
void normalize_row_backward(int64_t count, const double* x, double mean, double rstd,
                            const double* scale, const double* dy, bool centered, double* dx,
                            double* dscale, double* dbias) {
  kernels<double>().normalize_backward(count, x, mean, rstd, scale, dy, centered, dx, dscale,
                                       dbias);
}
void add_moments(int64_t rows, int64_t columns, const float* x, const float* shift, float* first,
                 float* second) {
  kernels<float>().moments_of_columns(rows, columns, x, shift, first, second);
}
void add_moments(int64_t rows, int64_t columns, const double* x, const double* shift, double* first,
                 double* second) {
  kernels<double>().moments_of_columns(rows, columns, x, shift, first, second);
}
void apply_columns(int64_t rows, int64_t columns, const float* x, const float* mean,
                   const float* factor, const float* bias, bool relu, float* y) {
  kernels<float>().apply(rows, columns, x, mean, factor, bias, relu, y);
}
void apply_columns(int64_t rows, int64_t columns, const double* x, const double* mean,
                   const double* factor, const double* bias, bool relu, double* y) {
  kernels<double>().apply(rows, columns, x, mean, factor, bias, relu, y);
}
void add_gradient_moments(int64_t rows, int64_t columns, const float* x, const float* mean,
                          const float* dy, const float* output, float* first, float* second) {
  kernels<float>().gradient_moments(rows, columns, x, mean, dy, output, first, second);
}
void add_gradient_moments(int64_t rows, int64_t columns, const double* x, const double* mean,
                          const double* dy, const double* output, double* first, double* second) {
  kernels<double>().gradient_moments(rows, columns, x, mean, dy, output, first, second);
}
void gradient_columns(int64_t rows, int64_t columns, const float* x, const float* mean,
                      const float* dy, const float* output, const float* factor,
                      const float* offset, const float* slope, float* dx) {
  kernels<float>().gradient(rows, columns, x, mean, dy, output, factor, offset, slope, dx);
}
void gradient_columns(int64_t rows, int64_t columns, const double* x, const double* mean,
                      const double* dy, const double* output, const double* factor,
                      const double* offset, const double* slope, double* dx) {
  kernels<double>().gradient(rows, columns, x, mean, dy, output, factor, offset, slope, dx);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
