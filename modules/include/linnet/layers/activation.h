// Activation functions that are not operations of their own (ops.h has the others), the same in
// both module APIs.
//
//   Tensor y = linen::standardize(x);       // mean 0 and variance 1 along the last axis
#pragma once

#include "linnet/nn.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x relu6(x + 3) / 6: another name of hard_silu.
Tensor hard_swish(const Tensor& x);

}  // namespace linnet::layers

namespace linnet::linen {
using layers::hard_swish;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::hard_swish;
}  // namespace linnet::nnx

#pragma GCC visibility pop
