// The object module API: variables, states, random streams, gradients and layers. Activations with
// parameters and LoRA are in linnet/nnx/layers_*.h, what looks through whole models in
// linnet/nnx_tools.h.
//
//   struct Mlp {
//     nnx::Linear up, down;
//     Mlp(int64_t in, int64_t out, nnx::Rngs& rngs) : up(in, 256, rngs), down(256, out, rngs) {}
//     LINNET_FIELDS(up, down)
//     Tensor operator()(const Tensor& x) const { return down(relu(up(x))); }
//   };
//   nnx::Rngs rngs(0);
//   Mlp net(784, 10, rngs);
//   Tensor logits = net(x);
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include "linnet/init.h"
#include "linnet/jit.h"
#include "linnet/layers/activation.h"
#include "linnet/nnx/graph.h"
#include "linnet/nnx/layers_attention.h"
#include "linnet/nnx/layers_conv.h"
#include "linnet/nnx/layers_linear.h"
#include "linnet/nnx/layers_norm.h"
#include "linnet/nnx/layers_recurrent.h"
#include "linnet/nnx/layers_sequential.h"
#include "linnet/nnx/rngs.h"
#include "linnet/nnx/rngs_split.h"
#include "linnet/nnx/state.h"
#include "linnet/nnx/transforms.h"
#include "linnet/nnx/transforms_batch.h"
#include "linnet/nnx/transforms_loops.h"
#include "linnet/nnx/transforms_rules.h"
#include "linnet/nnx/variable.h"
#include "linnet/nnx/variable_ops.h"
#include "linnet/ops.h"
#include "linnet/summary.h"

namespace linnet::nnx {
using linnet::jit;
}  // namespace linnet::nnx

#endif  // C++20
