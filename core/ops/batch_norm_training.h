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

}  // namespace linnet
