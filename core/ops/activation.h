// Parameters of the activations that are primitives of their own. The operands of their `_grad`
// primitives are x, or y for `_grad_from_y`, then the cotangent, in which they are linear.
#pragma once

#include "core/ops/scalar_primitives.h"

namespace linnet {

/// Negative slope of leaky_relu, scale of the negative branch of elu.
struct AlphaParams {
  double alpha = 1;
  LINNET_FIELDS(alpha)
};

}  // namespace linnet
