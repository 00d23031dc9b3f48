// Tensors, operations, transformations, trees and random numbers: everything below the modules.
//
//   #include <linnet/core.h>
//   using namespace linnet;
//   Tensor y = grad([](const Tensor& x) { return sum(x * x); })(tensor({1.f, 2.f}));   // [2, 4]
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include "linnet/collectives.h"
#include "linnet/control_flow.h"
#include "linnet/deterministic.h"
#include "linnet/device.h"
#include "linnet/dtype.h"
#include "linnet/error.h"
#include "linnet/fields.h"
#include "linnet/function.h"
#include "linnet/jit.h"
#include "linnet/log.h"
#include "linnet/memory_limit.h"
#include "linnet/ops.h"
#include "linnet/placement.h"
#include "linnet/random.h"
#include "linnet/shape.h"
#include "linnet/tensor.h"
#include "linnet/transforms.h"
#include "linnet/tree.h"

#endif  // C++20
