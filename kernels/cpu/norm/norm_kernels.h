// Vectorised pieces of the normalisation layers: one row, or all columns of a block of rows.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Mean and mean squared deviation of a row, computed in two passes.
template <class T>
struct RowMoments {
  T mean;
  T variance;
};
RowMoments<float> row_moments(int64_t count, const float* x);
RowMoments<double> row_moments(int64_t count, const double* x);

/// Mean of the squares of a row.
float row_mean_square(int64_t count, const float* x);
double row_mean_square(int64_t count, const double* x);

/// y = (x - mean) rstd scale + bias; scale and bias may be null.
void normalize_row(int64_t count, const float* x, float mean, float rstd, const float* scale,
                   const float* bias, float* y);
void normalize_row(int64_t count, const double* x, double mean, double rstd, const double* scale,
                   const double* bias, double* y);

/// Gradient of a normalised row; `centered` is false for RMS normalisation (mean is 0 then). Adds
/// dy n to dscale and dy to dbias unless null.
void normalize_row_backward(int64_t count, const float* x, float mean, float rstd,
                            const float* scale, const float* dy, bool centered, float* dx,
                            float* dscale, float* dbias);
void normalize_row_backward(int64_t count, const double* x, double mean, double rstd,
                            const double* scale, const double* dy, bool centered, double* dx,
                            double* dscale, double* dbias);

/// Over a block of rows of [rows, columns]: first += sum of (x - shift), second += sum of (x -
/// shift)^2.
void add_moments(int64_t rows, int64_t columns, const float* x, const float* shift, float* first,
                 float* second);
void add_moments(int64_t rows, int64_t columns, const double* x, const double* shift, double* first,
                 double* second);

/// y = (x - mean) factor + bias, negative results replaced by 0 if `relu`.
void apply_columns(int64_t rows, int64_t columns, const float* x, const float* mean,
                   const float* factor, const float* bias, bool relu, float* y);
void apply_columns(int64_t rows, int64_t columns, const double* x, const double* mean,
                   const double* factor, const double* bias, bool relu, double* y);

/// first += sum of dy, second += sum of dy (x - mean); where `output` is given, dy counts only
/// where the output is positive.
void add_gradient_moments(int64_t rows, int64_t columns, const float* x, const float* mean,
                          const float* dy, const float* output, float* first, float* second);
void add_gradient_moments(int64_t rows, int64_t columns, const double* x, const double* mean,
                          const double* dy, const double* output, double* first, double* second);

/// dx = factor (dy - offset - (x - mean) slope), dy masked by `output` as above.
void gradient_columns(int64_t rows, int64_t columns, const float* x, const float* mean,
                      const float* dy, const float* output, const float* factor,
                      const float* offset, const float* slope, float* dx);
void gradient_columns(int64_t rows, int64_t columns, const double* x, const double* mean,
                      const double* dy, const double* output, const double* factor,
                      const double* offset, const double* slope, double* dx);

}  // namespace linnet::cpu
