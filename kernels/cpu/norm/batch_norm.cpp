#include "kernels/cpu/norm/batch_norm.h"

#include <cmath>
#include <limits>

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

/// What the functions work in, each in a part of it.
template <class T>
struct BatchNormSpace {
  using W = Wide<T>;
  BatchNormSpace(Workspace& w, int64_t rows, int64_t channels)
      : sums(w, rows, 2 * channels),
        factor(w.take<W>(channels)),
        offset(w.take<W>(channels)),
        slope(w.take<W>(channels)),
        chunks(w, std::max(row_parts(rows), parallel_slots(rows, row_grain(channels))), 4,
               kChunkRows * channels) {}
  RowSums<W> sums;
  W *factor, *offset, *slope;
  RowScratch<T> chunks;
};

template <class T>
void statistics(int64_t rows, int64_t channels, const T* x, Wide<T>* mean, Wide<T>* var,
                const BatchNormSpace<T>& space) {
  using W = Wide<T>;
  if (rows == 0) {
    std::fill_n(mean, channels, std::numeric_limits<W>::quiet_NaN());
    std::fill_n(var, channels, std::numeric_limits<W>::quiet_NaN());
    return;
  }
  W* const shift = space.offset;
  for (int64_t c = 0; c < channels; ++c) {
    shift[c] = widen(x[c]);
    if (!std::isfinite(shift[c])) shift[c] = 0;
  }
  const auto make = [&](int64_t slot) {
    return
        [&, input = InputRow<T>(space.chunks.row(slot, 0))](int64_t first, int64_t count, W* sums) {
          for_chunks<T>(first, count, [&](int64_t row, int64_t size) {
            const W* from = input(x + row * channels, size * channels);
            add_moments(size, channels, from, shift, sums, sums + channels);
          });
        };
  };
  const double* const sums = sum_over_rows<W>(rows, 2 * channels, channels, space.sums, make);
  for (int64_t c = 0; c < channels; ++c) {
    const double first = sums[c] / static_cast<double>(rows);
    const double second = sums[channels + c] / static_cast<double>(rows);
    const double variance = second - first * first;
    mean[c] = static_cast<W>(static_cast<double>(shift[c]) + first);
    var[c] = static_cast<W>(variance < 0 ? 0.0 : variance);
  }
}

template <class T>
void apply_typed(int64_t rows, int64_t channels, const T* x, const Wide<T>* mean,
                 const Wide<T>* var, const Wide<T>* scale, const Wide<T>* bias, double epsilon,
                 bool relu, T* y, const BatchNormSpace<T>& space) {
  using W = Wide<T>;
  W *const factor = space.factor, *const offset = space.offset;
  for (int64_t c = 0; c < channels; ++c) {
    factor[c] = W(1) / std::sqrt(var[c] + static_cast<W>(epsilon));
    if (scale) factor[c] *= scale[c];
    offset[c] = bias ? bias[c] : W(0);
  }
  parallel_for_slots(rows, row_grain(channels), [&](int64_t begin, int64_t end, int64_t slot) {
    const InputRow<T> input(space.chunks.row(slot, 0));
    const OutputRow<T> output(space.chunks.row(slot, 1));
    for_chunks<T>(begin, end - begin, [&](int64_t row, int64_t size) {
      const int64_t at = row * channels, count = size * channels;
      apply_columns(size, channels, input(x + at, count), mean, factor, offset, relu,
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
  const double* sums(const BatchNormSpace<T>& space) const {
    return sum_over_rows<W>(rows, 2 * channels, channels, space.sums, [&](int64_t slot) {
      return [this, input = InputRow<T>(space.chunks.row(slot, 0)),
              gradient = InputRow<T>(space.chunks.row(slot, 1)),
              output = InputRow<T>(space.chunks.row(slot, 2))](int64_t first, int64_t count,
                                                               W* sums) {
        for_chunks<T>(first, count, [&](int64_t row, int64_t size) {
          const int64_t at = row * channels, elements = size * channels;
          add_gradient_moments(
              size, channels, input(x + at, elements), mean, gradient(dy + at, elements),
              relu_output ? output(relu_output + at, elements) : nullptr, sums, sums + channels);
        });
      };
    });
  }

  void input_gradient(const double* sums, const BatchNormSpace<T>& space, T* dx) const {
    W *const factor = space.factor, *const offset = space.offset, *const slope = space.slope;
    for (int64_t c = 0; c < channels; ++c) {
      const double r = static_cast<double>(rstd[c]);
      factor[c] = scale ? rstd[c] * scale[c] : rstd[c];
      offset[c] = static_cast<W>(sums[c] / static_cast<double>(rows));
      slope[c] = static_cast<W>(sums[channels + c] * r * r / static_cast<double>(rows));
    }
    parallel_for_slots(rows, row_grain(channels), [&](int64_t begin, int64_t end, int64_t slot) {
      const InputRow<T> input(space.chunks.row(slot, 0)), gradient(space.chunks.row(slot, 1)),
          mask(space.chunks.row(slot, 2));
      const OutputRow<T> output(space.chunks.row(slot, 3));
      for_chunks<T>(begin, end - begin, [&](int64_t row, int64_t size) {
        const int64_t at = row * channels, count = size * channels;
        gradient_columns(size, channels, input(x + at, count), mean, gradient(dy + at, count),
                         relu_output ? mask(relu_output + at, count) : nullptr, factor, offset,
                         slope, output(dx + at));
        output.store(dx + at, count);
      });
    });
  }
};

}  // namespace

size_t batch_norm_workspace(DType dtype, int64_t rows, int64_t channels) {
  return dtype == DType::kF64  ? workspace_bytes<BatchNormSpace<double>>(rows, channels)
         : size_of(dtype) == 2 ? workspace_bytes<BatchNormSpace<float16>>(rows, channels)
                               : workspace_bytes<BatchNormSpace<float>>(rows, channels);
}

void batch_norm_statistics(DType dtype, int64_t rows, int64_t channels, const void* x, void* mean,
                           void* var, void* workspace) {
  visit_real("batch_norm statistics", dtype, [&](auto zero) {
    using T = decltype(zero);
    Workspace parts(workspace);
    statistics<T>(rows, channels, static_cast<const T*>(x), static_cast<Wide<T>*>(mean),
                  static_cast<Wide<T>*>(var), BatchNormSpace<T>(parts, rows, channels));
  });
}

void batch_norm_apply(DType dtype, int64_t rows, int64_t channels, const void* x, const void* mean,
                      const void* var, const void* scale, const void* bias, double epsilon,
                      bool relu, void* y, void* workspace) {
  visit_real("batch_norm", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    Workspace parts(workspace);
    apply_typed<T>(rows, channels, static_cast<const T*>(x), static_cast<const W*>(mean),
                   static_cast<const W*>(var), static_cast<const W*>(scale),
                   static_cast<const W*>(bias), epsilon, relu, static_cast<T*>(y),
                   BatchNormSpace<T>(parts, rows, channels));
  });
}

void batch_norm_backward(DType dtype, int64_t rows, int64_t channels, const void* x,
                         const void* mean, const void* rstd, const void* scale, const void* dy,
                         const void* relu_output, void* dx, void* dscale, void* dbias,
                         void* workspace) {
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
    Workspace parts(workspace);
    const BatchNormSpace<T> space(parts, rows, channels);
    const double* const sums = gradient.sums(space);
    for (int64_t c = 0; c < channels; ++c) {
      const double r = static_cast<double>(gradient.rstd[c]);
      if (dscale) static_cast<W*>(dscale)[c] = static_cast<W>(sums[channels + c] * r);
      if (dbias) static_cast<W*>(dbias)[c] = static_cast<W>(sums[c]);
    }
    gradient.input_gradient(sums, space, static_cast<T*>(dx));
  });
}

}  // namespace linnet::cpu
