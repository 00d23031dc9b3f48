// Softmax cross-entropy with integer labels, without the probabilities in memory.
//
//   cpu::softmax_cross_entropy(DType::kF32, 32, 10, logits, DType::kI32, labels, loss, log_sum, w);
//   cpu::softmax_cross_entropy_backward(DType::kF32, 32, 10, logits, log_sum, DType::kI32, labels,
//                                       dloss, dlogits, w);
//
// logits [rows, classes] and the per-row arrays loss, log_sum and dloss [rows] are dense; the
// per-row arrays are f32, or f64 for f64 logits. Labels are of any integer type; negative ones
// count from the end, and one out of range makes the loss of its row NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// log_sum = log(sum(exp(logits - shift))), loss = log_sum - (logits[label] - shift), with the
/// maximum of the row as shift, or 0 where that is infinite. Either result may be null.
/// @throws DTypeError if the logits are not floating or the labels not integers.
void softmax_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                           DType label_dtype, const void* labels, void* loss, void* log_sum,
                           void* workspace);

/// dlogits = (exp(logits - shift - log_sum) - onehot(label)) * dloss, without the onehot for a
/// label out of range. `dlogits` may be `logits`.
void softmax_cross_entropy_backward(DType dtype, int64_t rows, int64_t classes, const void* logits,
                                    const void* log_sum, DType label_dtype, const void* labels,
                                    const void* dloss, void* dlogits, void* workspace);

/// Bytes of the workspace of both, aligned to 64; 0 but for 16-bit floats.
size_t cross_entropy_workspace(DType dtype, int64_t rows, int64_t classes);

}  // namespace linnet::cpu
