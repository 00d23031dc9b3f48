// Softmax, log-softmax and log-sum-exp along one axis of a dense tensor, and their gradients.
//
//   cpu::softmax(DType::kF32, 32, 10, 1, logits, probabilities, false, workspace);   // ten classes
//
// The tensor is seen as [outer, axis, inner]; inner is 1 for the last axis. 16-bit floats are
// computed in float and rounded once. All functions throw DTypeError for other than floating types.
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// y = exp(x - max) / sum(exp(x - max)); its logarithm, (x - max) - log(sum), when `logarithm`.
/// `y` may be `x`.
void softmax(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* y,
             bool logarithm, void* workspace);

/// dx = y (dy - sum(y dy)), or dy - exp(y) sum(dy) for the logarithm; y is the forward result.
void softmax_backward(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* y,
                      const void* dy, void* dx, bool logarithm, void* workspace);

/// out [outer, inner] = log(sum(exp(x))), shifted by the maximum where that is finite.
void logsumexp(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* out,
               void* workspace);

/// Bytes of the workspace of each of them, aligned to 64; 0 but for 16-bit floats.
size_t softmax_workspace(DType dtype, int64_t outer, int64_t axis, int64_t inner);

}  // namespace linnet::cpu
