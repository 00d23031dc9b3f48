// Functional convolution layers. Their settings and parameters are described in
// layers/config_conv.h.
//
//   Tensor y = s("conv", linen::Conv{.features = 32, .kernel = {3, 3}, .use_bias = false}, image);
//   // f32[n, h, w, c] -> f32[n, h, w, 32]
#pragma once

#include "linnet/layers/config_conv.h"
#include "linnet/layers/pooling.h"
#include "linnet/linen/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

using layers::Padding;
using layers::PerDimension;
using Conv = layers::Conv<Api>;
using ConvTranspose = layers::ConvTranspose<Api>;

}  // namespace linnet::linen

namespace linnet::layers {
extern template struct Conv<linen::Api>;
extern template struct ConvTranspose<linen::Api>;
}  // namespace linnet::layers

#pragma GCC visibility pop
