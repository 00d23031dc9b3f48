#include "kernels/cpu/norm/batch_norm.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/norm/norm_kernels.h"
#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/norm/row_parts.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

// Rows handed to a kernel at once when 16-bit floats have to be widened first.
constexpr int64_t kChunkRows = 16;

// Calls visit(first row, rows) in steps that fit the scratch rows: one step where nothing is
// widened.
template <class T, class Visit>
void for_chunks(int64_t first, int64_t count, Visit&& visit) {
  const int64_t step = kIsHalf<T> ? kChunkRows : count;
  for (int64_t row = first; row < first + count; row += step)
    visit(row, std::min(step, first + count - row));
}

template <class T>
int64_t scratch_size(int64_t channels) {
  return kIsHalf<T> ? kChunkRows * channels : 0;
}

template <class T>
void statistics(int64_t rows, int64_t channels, const T* x, Wide<T>* mean, Wide<T>* var) {
  using W = Wide<T>;
  if (rows == 0) {
    std::fill_n(mean, channels, std::numeric_limits<W>::quiet_NaN());
    std::fill_n(var, channels, std::numeric_limits<W>::quiet_NaN());
    return;
  }
  std::vector<W> shift(static_cast<size_t>(channels));
  for (size_t c = 0; c < shift.size(); ++c) {
    shift[c] = widen(x[c]);
    if (!std::isfinite(shift[c])) shift[c] = 0;
  }
  const std::vector<double> sums = sum_over_rows<W>(rows, 2 * channels, channels, [&] {
    return [&, input = InputRow<T>(scratch_size<T>(channels))](int64_t first, int64_t count,
                                                               W* sums) mutable {
      for_chunks<T>(first, count, [&](int64_t row, int64_t size) {
        const W* from = input(x + row * channels, size * channels);
        add_moments(size, channels, from, shift.data(), sums, sums + channels);
      });
    };
  });
  for (int64_t c = 0; c < channels; ++c) {
    const double first = sums[static_cast<size_t>(c)] / static_cast<double>(rows);
    const double second = sums[static_cast<size_t>(channels + c)] / static_cast<double>(rows);
    const double variance = second - first * first;
    mean[c] = static_cast<W>(static_cast<double>(shift[static_cast<size_t>(c)]) + first);
    var[c] = static_cast<W>(variance < 0 ? 0.0 : variance);
  }
}

template <class T>
void apply_typed(int64_t rows, int64_t channels, const T* x, const Wide<T>* mean,
                 const Wide<T>* var, const Wide<T>* scale, const Wide<T>* bias, double epsilon,
                 bool relu, T* y) {
  using W = Wide<T>;
  std::vector<W> factor(static_cast<size_t>(channels)), offset(static_cast<size_t>(channels), W(0));
  for (size_t c = 0; c < factor.size(); ++c) {
    factor[c] = W(1) / std::sqrt(var[c] + static_cast<W>(epsilon));
    if (scale) factor[c] *= scale[c];
    if (bias) offset[c] = bias[c];
  }
  parallel_for(rows, row_grain(channels), [&](int64_t begin, int64_t end) {
    InputRow<T> input(scratch_size<T>(channels));
    OutputRow<T> output(scratch_size<T>(channels));
    for_chunks<T>(begin, end - begin, [&](int64_t row, int64_t size) {
      const int64_t at = row * channels, count = size * channels;
      apply_columns(size, channels, input(x + at, count), mean, factor.data(), offset.data(), relu,
                    output(y + at));
      output.store(y + at, count);
    });
  });
}

template <class T>
struct BatchNormGradient {
  using W = Wide<T>;
  int64_t rows, channels;
  const T* x;
  const W *mean, *rstd, *scale;
  const T *dy, *relu_output;

  // Sums of dy and of dy (x - mean).
  std::vector<double> sums() const {
    return sum_over_rows<W>(rows, 2 * channels, channels, [&] {
      const int64_t scratch = scratch_size<T>(channels);
      return [this, input = InputRow<T>(scratch), gradient = InputRow<T>(scratch),
              output = InputRow<T>(scratch)](int64_t first, int64_t count, W* sums) mutable {
        for_chunks<T>(first, count, [&](int64_t row, int64_t size) {
          const int64_t at = row * channels, elements = size * channels;
          add_gradient_moments(
              size, channels, input(x + at, elements), mean, gradient(dy + at, elements),
              relu_output ? output(relu_output + at, elements) : nullptr, sums, sums + channels);
        });
      };
    });
  }

  void input_gradient(const std::vector<double>& sums, T* dx) const {
    const size_t width = static_cast<size_t>(channels);
    std::vector<W> factor(width), offset(width), slope(width);
    for (size_t c = 0; c < width; ++c) {
      const double r = static_cast<double>(rstd[c]);
      factor[c] = scale ? rstd[c] * scale[c] : rstd[c];
      offset[c] = static_cast<W>(sums[c] / static_cast<double>(rows));
      slope[c] = static_cast<W>(sums[width + c] * r * r / static_cast<double>(rows));
    }
    parallel_for(rows, row_grain(channels), [&](int64_t begin, int64_t end) {
      const int64_t scratch = scratch_size<T>(channels);
      InputRow<T> input(scratch), gradient(scratch), mask(scratch);
      OutputRow<T> output(scratch);
      for_chunks<T>(begin, end - begin, [&](int64_t row, int64_t size) {
        const int64_t at = row * channels, count = size * channels;
        gradient_columns(size, channels, input(x + at, count), mean, gradient(dy + at, count),
                         relu_output ? mask(relu_output + at, count) : nullptr, factor.data(),
                         offset.data(), slope.data(), output(dx + at));
        output.store(dx + at, count);
      });
    });
  }
};

}  // namespace

void batch_norm_statistics(DType dtype, int64_t rows, int64_t channels, const void* x, void* mean,
                           void* var) {
  visit_real("batch_norm statistics", dtype, [&](auto zero) {
    using T = decltype(zero);
    statistics<T>(rows, channels, static_cast<const T*>(x), static_cast<Wide<T>*>(mean),
                  static_cast<Wide<T>*>(var));
  });
}

void batch_norm_apply(DType dtype, int64_t rows, int64_t channels, const void* x, const void* mean,
                      const void* var, const void* scale, const void* bias, double epsilon,
                      bool relu, void* y) {
  visit_real("batch_norm", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    apply_typed<T>(rows, channels, static_cast<const T*>(x), static_cast<const W*>(mean),
                   static_cast<const W*>(var), static_cast<const W*>(scale),
                   static_cast<const W*>(bias), epsilon, relu, static_cast<T*>(y));
  });
}

void batch_norm_backward(DType dtype, int64_t rows, int64_t channels, const void* x,
                         const void* mean, const void* rstd, const void* scale, const void* dy,
                         const void* relu_output, void* dx, void* dscale, void* dbias) {
  visit_real("batch_norm gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    const BatchNormGradient<T> gradient{rows,
                                        channels,
                                        static_cast<const T*>(x),
                                        static_cast<const W*>(mean),
                                        static_cast<const W*>(rstd),
                                        static_cast<const W*>(scale),
                                        static_cast<const T*>(dy),
                                        static_cast<const T*>(relu_output)};
    const std::vector<double> sums = gradient.sums();
    for (int64_t c = 0; c < channels; ++c) {
      const double r = static_cast<double>(gradient.rstd[c]);
      if (dscale)
        static_cast<W*>(dscale)[c] = static_cast<W>(sums[static_cast<size_t>(channels + c)] * r);
      if (dbias) static_cast<W*>(dbias)[c] = static_cast<W>(sums[static_cast<size_t>(c)]);
    }
    gradient.input_gradient(sums, static_cast<T*>(dx));
  });
}

}  // namespace linnet::cpu
