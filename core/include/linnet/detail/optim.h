// Private: optimiser steps over lists of tensors, as one composite each.
#pragma once

#include <vector>

#include "linnet/ops.h"
#include "linnet/primitive.h"

#pragma GCC visibility push(default)

namespace linnet {

struct AdamWParams {
  int64_t count = 0;  ///< tensors in each list
  double b1 = 0.9, b2 = 0.999, epsilon = 1e-8, epsilon_root = 0, weight_decay = 0;
  LINNET_FIELDS(count, b1, b2, epsilon, epsilon_root, weight_decay)
};

/// Operands: rate, 1 - b1^t, 1 - b2^t (zero-dimensional f32), then the lists parameters, gradients,
/// first moments, second moments. Results: new parameters, first moments, second moments.
///
/// m' = (1 - b1) g + b1 m; v' = (1 - b2) g^2 + b2 v;
/// p' = p - rate ((m' / c1) / (sqrt(v' / c2 + epsilon_root) + epsilon) + weight_decay p).
/// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
const Primitive& adamw_update_primitive();

}  // namespace linnet

#pragma GCC visibility pop
