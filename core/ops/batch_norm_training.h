// Private: batch normalisation in training with what follows it, as one node. The compiler makes it
// where a kernel takes it; nothing else emits it.
#pragma once

#include "core/ops/nn.h"

namespace linnet {

struct BatchNormReluParams {
  BatchNormParams norm;
  bool has_residual = false;
  LINNET_FIELDS(norm, has_residual)
};
/// x, [scale], [bias], [residual] of x's type -> relu(y + residual) with y, mean and var as of
/// `batch_norm_train`.
const Primitive& batch_norm_train_relu_primitive();

/// x, mean, var, [scale], [bias], [residual] -> relu(y + residual) with y as of
/// `batch_norm_inference`.
const Primitive& batch_norm_inference_relu_primitive();

/// x, mean, var, dy, [scale], [bias] -> what `batch_norm_backward` gives for the part of dy where
/// the norm of x is positive: the gradient of relu behind it, which is not written to memory.
const Primitive& batch_norm_relu_backward_primitive();

}  // namespace linnet
