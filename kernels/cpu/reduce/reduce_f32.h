// Vectorised inner loops of the float32 reductions. Inputs are contiguous along the vector
// direction.
#pragma once

#include <cstdint>

namespace linnet::cpu {

double sum_run_f32(const float* data, int64_t count);
double sum_of_squares_run_f32(const float* data, int64_t count);
/// NaN wins; -infinity (+infinity) for no elements.
float max_run_f32(const float* data, int64_t count);
float min_run_f32(const float* data, int64_t count);

/// sums[c] += sum over rows of data[row * row_stride + c], c < columns.
void sum_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     double* sums);
/// best[c] = max (min) of best[c] and the column; NaN wins.
void max_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best);
void min_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best);

}  // namespace linnet::cpu
