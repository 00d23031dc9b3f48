#include "kernels/cpu/norm/layer_norm.h"

#include <cmath>

#include "kernels/cpu/norm/norm_kernels.h"
#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/norm/row_parts.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

template <class T>
void forward(int64_t rows, int64_t length, const T* x, const Wide<T>* scale, const Wide<T>* bias,
             double epsilon, bool centered, T* y, Wide<T>* mean, Wide<T>* rstd, void* workspace) {
  using W = Wide<T>;
  Workspace space(workspace);
  const RowScratch<T> scratch(space, parallel_slots(rows, row_grain(length)), 2, length);
  parallel_for_slots(rows, row_grain(length), [&](int64_t begin, int64_t end, int64_t slot) {
    const InputRow<T> input(scratch.row(slot, 0));
    const OutputRow<T> output(scratch.row(slot, 1));
    for (int64_t row = begin; row < end; ++row) {
      const W* from = input(x + row * length, length);
      const RowMoments<W> m =
          centered ? row_moments(length, from) : RowMoments<W>{W(0), row_mean_square(length, from)};
      const W r = W(1) / std::sqrt(m.variance + static_cast<W>(epsilon));
      normalize_row(length, from, m.mean, r, scale, bias, output(y + row * length));
      output.store(y + row * length, length);
      if (mean) mean[row] = m.mean;
      if (rstd) rstd[row] = r;
    }
  });
}

// The gradient with respect to the rows and, in the same pass, the sums over rows for scale and
// bias.
template <class T>
void backward(int64_t rows, int64_t length, const T* x, const Wide<T>* scale, const Wide<T>* mean,
              const Wide<T>* rstd, const T* dy, T* dx, Wide<T>* dscale, Wide<T>* dbias,
              void* workspace) {
  using W = Wide<T>;
  const bool centered = mean != nullptr;
  const int64_t width = (dscale ? length : 0) + (dbias ? length : 0);
  Workspace parts(workspace);
  const RowSums<W> space(parts, rows, width);
  const RowScratch<T> scratch(parts, row_parts(rows), 3, length);
  const double* const totals = sum_over_rows<W>(rows, width, length, space, [&](int64_t slot) {
    return
        [=, input = InputRow<T>(scratch.row(slot, 0)), gradient = InputRow<T>(scratch.row(slot, 1)),
         output = OutputRow<T>(scratch.row(slot, 2))](int64_t first, int64_t count, W* sums) {
          W* scale_sums = dscale ? sums : nullptr;
          W* bias_sums = dbias ? sums + (dscale ? length : 0) : nullptr;
          for (int64_t row = first; row < first + count; ++row) {
            const int64_t at = row * length;
            normalize_row_backward(length, input(x + at, length), centered ? mean[row] : W(0),
                                   rstd[row], scale, gradient(dy + at, length), centered,
                                   output(dx + at), scale_sums, bias_sums);
            output.store(dx + at, length);
          }
        };
  });
  for (int64_t i = 0; dscale && i < length; ++i) dscale[i] = static_cast<W>(totals[i]);
  const int64_t skip = dscale ? length : 0;
  for (int64_t i = 0; dbias && i < length; ++i) dbias[i] = static_cast<W>(totals[skip + i]);
}

}  // namespace

size_t norm_backward_workspace(DType dtype, int64_t rows, int64_t length) {
  const size_t sums = dtype == DType::kF64 ? workspace_bytes<RowSums<double>>(rows, 2 * length)
                                           : workspace_bytes<RowSums<float>>(rows, 2 * length);
  return sums + row_scratch_bytes(dtype, row_parts(rows), 3, length);
}

size_t norm_workspace(DType dtype, int64_t rows, int64_t length) {
  return row_scratch_bytes(dtype, parallel_slots(rows, row_grain(length)), 2, length);
}

void layer_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                const void* bias, double epsilon, void* y, void* mean, void* rstd,
                void* workspace) {
  visit_real("layer_norm", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    forward<T>(rows, length, static_cast<const T*>(x), static_cast<const W*>(scale),
               static_cast<const W*>(bias), epsilon, true, static_cast<T*>(y),
               static_cast<W*>(mean), static_cast<W*>(rstd), workspace);
  });
}

void layer_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x,
                         const void* scale, const void* mean, const void* rstd, const void* dy,
                         void* dx, void* dscale, void* dbias, void* workspace) {
  visit_real("layer_norm gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    backward<T>(rows, length, static_cast<const T*>(x), static_cast<const W*>(scale),
                static_cast<const W*>(mean), static_cast<const W*>(rstd), static_cast<const T*>(dy),
                static_cast<T*>(dx), static_cast<W*>(dscale), static_cast<W*>(dbias), workspace);
  });
}

void rms_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
              double epsilon, void* y, void* rstd, void* workspace) {
  visit_real("rms_norm", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    forward<T>(rows, length, static_cast<const T*>(x), static_cast<const W*>(scale), nullptr,
               epsilon, false, static_cast<T*>(y), nullptr, static_cast<W*>(rstd), workspace);
  });
}

void rms_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                       const void* rstd, const void* dy, void* dx, void* dscale, void* workspace) {
  visit_real("rms_norm gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    backward<T>(rows, length, static_cast<const T*>(x), static_cast<const W*>(scale), nullptr,
                static_cast<const W*>(rstd), static_cast<const T*>(dy), static_cast<T*>(dx),
                static_cast<W*>(dscale), nullptr, workspace);
  });
}

}  // namespace linnet::cpu
