// The functional module API: scopes, variables, layers and transformations.
//
//   struct Mlp {
//     Tensor operator()(linen::Scope& s, const Tensor& x) const {
//       Tensor h = relu(s("up", linen::Dense{.features = 256}, x));
//       return s("down", linen::Dense{.features = 10}, h);
//     }
//   };
//   linen::Variables vars = linen::init(Mlp{}, Key(0), x);
//   Tensor logits = linen::apply(Mlp{}, vars, x);
//
// In headers of their own, since few programs need them: linen/bind.h, linen/collections.h,
// linen/errors.h, linen/layers_conv_local.h, linen/layers_weight_norm.h, linen/lazy_init.h,
// linen/method.h, linen/tabulate.h.
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include "linnet/init.h"
#include "linnet/layers/dtypes.h"
#include "linnet/linen/layers_activation.h"
#include "linnet/linen/layers_attention.h"
#include "linnet/linen/layers_conv.h"
#include "linnet/linen/layers_linear.h"
#include "linnet/linen/layers_norm.h"
#include "linnet/linen/layers_recurrent.h"
#include "linnet/linen/layers_sequential.h"
#include "linnet/linen/scope.h"
#include "linnet/linen/transforms.h"
#include "linnet/linen/variables.h"
#include "linnet/ops.h"
#include "linnet/summary.h"

#endif  // C++20
