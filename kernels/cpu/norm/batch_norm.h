// Batch normalisation of a dense channels-last tensor, seen as [rows, channels].
//
//   cpu::batch_norm_statistics(DType::kF32, 32 * 28 * 28, 64, x, mean, var);
//   cpu::batch_norm_apply(DType::kF32, 32 * 28 * 28, 64, x, mean, var, scale, bias, 1e-5, false,
//                         y);
//
// "Statistics type" is f32, or f64 for f64 tensors: mean, var, rstd, scale, bias and their
// gradients [channels] are of that type; x, y, dy, dx of `dtype`. All functions throw DTypeError
// for other than floating types. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// Mean and variance E[x^2] - E[x]^2, at least 0, of every channel. The sums are taken relative to
/// the first row and carried in double, so that a large mean does not swallow a small variance. For
/// no rows both are NaN.
void batch_norm_statistics(DType dtype, int64_t rows, int64_t channels, const void* x, void* mean,
                           void* var, void* workspace);

/// y = (x - mean) / sqrt(var + epsilon) * scale + bias, then max(y, 0) if `relu`. Scale and bias
/// may be null; y may be x.
void batch_norm_apply(DType dtype, int64_t rows, int64_t channels, const void* x, const void* mean,
                      const void* var, const void* scale, const void* bias, double epsilon,
                      bool relu, void* y, void* workspace);

/// Gradients through the batch statistics. With n = (x - mean) rstd, rstd = 1 / sqrt(var +
/// epsilon): dbias = sum(dy), dscale = sum(dy n), dx = scale rstd (dy - dbias / rows - n dscale /
/// rows). `relu_output`, if given, is the y of a forward pass with relu: dy counts only where it is
/// positive. scale, dscale and dbias may be null.
void batch_norm_backward(DType dtype, int64_t rows, int64_t channels, const void* x,
                         const void* mean, const void* rstd, const void* scale, const void* dy,
                         const void* relu_output, void* dx, void* dscale, void* dbias,
                         void* workspace);

/// Bytes of the workspace of each of these functions.
size_t batch_norm_workspace(DType dtype, int64_t rows, int64_t channels);

}  // namespace linnet::cpu
