// Vectorised softmax pieces over one row, or over a block of columns of an [axis, stride] matrix.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Most columns of a block.
inline constexpr int64_t kSoftmaxColumns = 64;

void softmax_row(int64_t count, const float* x, float* y, bool logarithm);
void softmax_row(int64_t count, const double* x, double* y, bool logarithm);

void softmax_row_backward(int64_t count, const float* y, const float* dy, float* dx,
                          bool logarithm);
void softmax_row_backward(int64_t count, const double* y, const double* dy, double* dx,
                          bool logarithm);

float logsumexp_row(int64_t count, const float* x);
double logsumexp_row(int64_t count, const double* x);

/// y[i] = exp(x[i] - shift) * scale.
void scaled_exponential_row(int64_t count, const float* x, float shift, float scale, float* y);
void scaled_exponential_row(int64_t count, const double* x, double shift, double scale, double* y);

void softmax_columns(int64_t axis, int64_t stride, int64_t columns, const float* x, float* y,
                     bool logarithm);
void softmax_columns(int64_t axis, int64_t stride, int64_t columns, const double* x, double* y,
                     bool logarithm);

void softmax_columns_backward(int64_t axis, int64_t stride, int64_t columns, const float* y,
                              const float* dy, float* dx, bool logarithm);
void softmax_columns_backward(int64_t axis, int64_t stride, int64_t columns, const double* y,
                              const double* dy, double* dx, bool logarithm);

void logsumexp_columns(int64_t axis, int64_t stride, int64_t columns, const float* x, float* out);
void logsumexp_columns(int64_t axis, int64_t stride, int64_t columns, const double* x, double* out);

}  // namespace linnet::cpu
