// The derivative of digamma, composed of operations so that it has derivatives itself.
#pragma once

#include "linnet/tensor.h"

namespace linnet {

/// Second derivative of lgamma. Infinite at zero and the negative integers.
Tensor trigamma(const Tensor& x);

}  // namespace linnet
