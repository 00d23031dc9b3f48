// The bridge between the functional and the object module API: each kind of module can be used
// inside the other, with the same parameters, random streams and gradients.
//
//   bridge::ToNNX mlp(linen_models::Mlp{.hidden = 256}, rngs);   // functional module as an object
//   mlp.lazy_init(x);
//   Tensor y = mlp(x);
//   Shape kernel = mlp["up"]["kernel"].shape();
//
//   auto linear = bridge::to_linen<nnx::Linear>(32, 64);         // object module as a function
//   auto [out, vars] = linen::init_with_output(linear, Key(0), x);
//   vars["params"]["kernel"].shape();                            // (32, 64)
//
// In headers of their own, for those who want them: linnet/bridge/interop.h puts modules of either
// API inside bridge modules, linnet/bridge/compare.h says where two models differ,
// linnet/bridge/checkpoint.h reads checkpoints of one API with the other.
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include "linnet/bridge/attributes.h"
#include "linnet/bridge/convert.h"
#include "linnet/bridge/functional.h"
#include "linnet/bridge/module.h"
#include "linnet/bridge/module_apply.h"
#include "linnet/bridge/nnx_meta.h"
#include "linnet/bridge/to_linen.h"
#include "linnet/bridge/to_nnx.h"
#include "linnet/bridge/variables.h"

#endif  // C++20
