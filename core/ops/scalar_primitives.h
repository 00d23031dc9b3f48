// The primitives of the elementwise functions: `softplus_primitive()` and so on, one for each line
// of scalar_functions.h. What they compute is said in kernels/scalar, their derivatives are given
// in arithmetic, functions, activation, logic and select.cpp.
#pragma once

#include "core/ops/scalar_functions.h"
#include "linnet/primitive.h"

namespace linnet {

#define LINNET_DECLARE_PRIMITIVE(id, name, function, arity, params, kind, cost) \
  const Primitive& function##_primitive();
LINNET_SCALAR_PRIMITIVES(LINNET_DECLARE_PRIMITIVE)
#undef LINNET_DECLARE_PRIMITIVE

}  // namespace linnet
