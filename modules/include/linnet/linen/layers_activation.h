// Functional activations with parameters. Their settings are described in
// layers/config_activation.h.
//
//   Tensor y = s("prelu", linen::PReLU{}, x);
#pragma once

#include "linnet/layers/activation.h"
#include "linnet/layers/config_activation.h"
#include "linnet/linen/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::linen {
using PReLU = layers::PReLU<Api>;
}  // namespace linnet::linen

namespace linnet::layers {
extern template struct PReLU<linen::Api>;
}  // namespace linnet::layers

#pragma GCC visibility pop
