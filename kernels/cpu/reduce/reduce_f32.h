// Vectorised inner loops of the float32 reductions. Inputs are contiguous along the vector
// direction.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// A run may arrive in pieces, if all but the last are multiples of this many elements: what is
/// the sum of the first is `total` for the next.
inline constexpr int64_t kRunPiece = 2048;
double sum_run_f32(const float* data, int64_t count, double total = 0);
double sum_of_squares_run_f32(const float* data, int64_t count);
/// NaN wins; -infinity (+infinity) for no elements.
float max_run_f32(const float* data, int64_t count);
float min_run_f32(const float* data, int64_t count);

/// The greatest (least) so far of a run in pieces, lane by lane.
struct ExtremeLanes {
  static constexpr int kMost = 64;  // of a vector
  alignas(64) float first[kMost], second[kMost];
};
void begin_max_f32(ExtremeLanes& lanes);
void begin_min_f32(ExtremeLanes& lanes);
void extend_max_f32(const float* data, int64_t count, ExtremeLanes& lanes);
void extend_min_f32(const float* data, int64_t count, ExtremeLanes& lanes);
/// What the functions for a run in one piece give.
float finish_max_f32(const ExtremeLanes& lanes);
float finish_min_f32(const ExtremeLanes& lanes);

/// sums[c] += sum over rows of data[row * row_stride + c], c < columns.
void sum_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     double* sums);
/// best[c] = max (min) of best[c] and the column; NaN wins.
void max_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best);
void min_columns_f32(const float* data, int64_t rows, int64_t row_stride, int64_t columns,
                     float* best);

}  // namespace linnet::cpu
