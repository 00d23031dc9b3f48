// Layer normalisation and RMS normalisation over the last axis of a dense [rows, length] tensor.
//
//   cpu::layer_norm(DType::kF32, rows, 768, x, scale, bias, 1e-6, y, mean, rstd, workspace);
//
// "Statistics type" is f32, or f64 for f64 tensors. mean, rstd [rows] and scale, bias, dscale,
// dbias [length] are of the statistics type; x, y, dy, dx of `dtype`. Scale, bias and their
// gradients may be null, as may mean and rstd of the forward functions. All functions throw
// DTypeError for other than floating types. Results do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// y = (x - mean) rstd scale + bias, rstd = 1 / sqrt(var + epsilon), var the mean squared
/// deviation.
void layer_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                const void* bias, double epsilon, void* y, void* mean, void* rstd, void* workspace);
/// Bytes of the workspace of this and of rms_norm, aligned to 64; 0 but for 16-bit floats.
size_t norm_workspace(DType dtype, int64_t rows, int64_t length);

/// With n = (x - mean) rstd and g = dy scale: dx = rstd (g - mean(g) - n mean(g n)),
/// dscale = sum over rows of dy n, dbias = sum over rows of dy.
void layer_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x,
                         const void* scale, const void* mean, const void* rstd, const void* dy,
                         void* dx, void* dscale, void* dbias, void* workspace);
/// Bytes of the workspace of the two gradients.
size_t norm_backward_workspace(DType dtype, int64_t rows, int64_t length);

/// y = x rstd scale, rstd = 1 / sqrt(mean(x^2) + epsilon).
void rms_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
              double epsilon, void* y, void* rstd, void* workspace);

/// With n = x rstd and g = dy scale: dx = rstd (g - n mean(g n)), dscale = sum over rows of dy n.
void rms_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                       const void* rstd, const void* dy, void* dx, void* dscale, void* workspace);

}  // namespace linnet::cpu
