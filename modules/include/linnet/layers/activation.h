// Activation functions under the names of both module APIs: the operations of ops.h, and one that
// is none.
//
//   Tensor y = nnx::gelu(x);                // linnet::gelu
#pragma once

#include "linnet/nn.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x relu6(x + 3) / 6: another name of hard_silu.
Tensor hard_swish(const Tensor& x);

}  // namespace linnet::layers

namespace linnet::linen {
using layers::hard_swish;
using linnet::celu, linnet::elu, linnet::gelu, linnet::glu, linnet::hard_sigmoid, linnet::hard_silu,
    linnet::hard_tanh, linnet::leaky_relu, linnet::log_sigmoid, linnet::log_softmax,
    linnet::logsumexp, linnet::one_hot, linnet::relu, linnet::relu6, linnet::selu, linnet::sigmoid,
    linnet::silu, linnet::soft_sign, linnet::softmax, linnet::softplus, linnet::swish, linnet::tanh;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::hard_swish;
using linnet::celu, linnet::elu, linnet::gelu, linnet::glu, linnet::hard_sigmoid, linnet::hard_silu,
    linnet::hard_tanh, linnet::leaky_relu, linnet::log_sigmoid, linnet::log_softmax,
    linnet::logsumexp, linnet::one_hot, linnet::relu, linnet::relu6, linnet::selu, linnet::sigmoid,
    linnet::silu, linnet::soft_sign, linnet::softmax, linnet::softplus, linnet::swish, linnet::tanh;
}  // namespace linnet::nnx

#pragma GCC visibility pop
