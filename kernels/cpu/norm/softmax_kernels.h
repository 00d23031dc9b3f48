// Vectorised pieces of softmax over one row, for kernels that put them together differently.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// What the exponentials of a row are shifted by: the maximum, or 0 where that is infinite.
float exponent_shift_of_row(int64_t count, const float* x);
double exponent_shift_of_row(int64_t count, const double* x);

/// log(sum(exp(x - shift))).
float log_sum_of_row(int64_t count, const float* x, float shift);
double log_sum_of_row(int64_t count, const double* x, double shift);

/// y[i] = exp((x[i] - shift) - log_sum) * scale.
void scaled_shares_of_row(int64_t count, const float* x, float shift, float log_sum, float scale,
                          float* y);
void scaled_shares_of_row(int64_t count, const double* x, double shift, double log_sum,
                          double scale, double* y);

}  // namespace linnet::cpu
