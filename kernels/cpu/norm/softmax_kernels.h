// Vectorised pieces of softmax over one row, for kernels that put them together differently.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// log(sum(exp(x))), shifted by the maximum where that is finite.
float logsumexp_row(int64_t count, const float* x);
double logsumexp_row(int64_t count, const double* x);

/// y[i] = exp(x[i] - shift) * scale.
void scaled_exponential_row(int64_t count, const float* x, float shift, float scale, float* y);
void scaled_exponential_row(int64_t count, const double* x, double shift, double scale, double* y);

}  // namespace linnet::cpu
