// Functional linear layers: Dense, DenseGeneral, Einsum, Embed. Their settings and parameters are
// described in layers/config_linear.h.
//
//   // f32[..., in] -> f32[..., 256]
//   Tensor h = s("up", linen::Dense{.features = 256}, x);
//   // i32[b, t] -> f32[b, t, 512]
//   Tensor e = s("embed", linen::Embed{32000, 512}, tokens);
#pragma once

#include "linnet/layers/config_linear.h"
#include "linnet/linen/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

using Dense = layers::Dense<Api>;
using DenseGeneral = layers::DenseGeneral<Api>;
using Einsum = layers::Einsum<Api>;
using Embed = layers::Embed<Api>;

}  // namespace linnet::linen

namespace linnet::layers {
extern template struct Dense<linen::Api>;
extern template struct DenseGeneral<linen::Api>;
extern template struct Einsum<linen::Api>;
extern template struct Embed<linen::Api>;
}  // namespace linnet::layers

#pragma GCC visibility pop
