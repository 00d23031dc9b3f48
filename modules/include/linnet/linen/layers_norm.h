// Functional normalisation layers and dropout. Their settings and parameters are described in
// layers/config_norm.h.
//
//   Tensor y = s("norm", linen::BatchNorm{.momentum = 0.9}, x, !train);     // use_running_average
//   Tensor z = s("drop", linen::Dropout{0.1}, y, !train);                   // deterministic
#pragma once

#include "linnet/layers/config_norm.h"
#include "linnet/linen/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

using BatchNorm = layers::BatchNorm<Api>;
using LayerNorm = layers::LayerNorm<Api>;
using RMSNorm = layers::RMSNorm<Api>;
using GroupNorm = layers::GroupNorm<Api>;
using InstanceNorm = layers::InstanceNorm<Api>;
using Dropout = layers::Dropout<Api>;

}  // namespace linnet::linen

namespace linnet::layers {
extern template struct BatchNorm<linen::Api>;
extern template struct LayerNorm<linen::Api>;
extern template struct RMSNorm<linen::Api>;
extern template struct GroupNorm<linen::Api>;
extern template struct InstanceNorm<linen::Api>;
extern template struct Dropout<linen::Api>;
}  // namespace linnet::layers

#pragma GCC visibility pop
