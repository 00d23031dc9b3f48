// The scalar functions for plain numbers on the host: constant folding and tests.
//
//   float y = linnet::scalar::gelu_erf(0.5f);
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/ops/scalar_functions.h"
#include "kernels/scalar/library.h"

#define LINNET_SCALAR inline
namespace linnet::scalar {
#include "kernels/scalar/plain_inl.h"

#include "kernels/scalar/functions_inl.h"
}  // namespace linnet::scalar
#undef LINNET_SCALAR
