// Everything: core, the two module APIs, optimisers and the bridge.
//
//   #include <linnet/linnet.h>
//   using namespace linnet;
//   Tensor y = grad([](const Tensor& x) { return sum(x * x); })(tensor({1.f, 2.f}));   // [2, 4]
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include "linnet/bridge.h"
#include "linnet/core.h"
#include "linnet/dynamic_scale.h"
#include "linnet/init.h"
#include "linnet/linen.h"
#include "linnet/losses.h"
#include "linnet/metrics.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"

#endif  // C++20
