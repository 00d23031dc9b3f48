// Primitives of the elementary and special functions; all take floating tensors.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

const Primitive& exp_primitive();
const Primitive& exp2_primitive();
const Primitive& expm1_primitive();
const Primitive& log_primitive();
const Primitive& log2_primitive();
const Primitive& log1p_primitive();
const Primitive& sqrt_primitive();
const Primitive& rsqrt_primitive();
const Primitive& cbrt_primitive();
const Primitive& sin_primitive();
const Primitive& cos_primitive();
const Primitive& tan_primitive();
const Primitive& asin_primitive();
const Primitive& acos_primitive();
const Primitive& atan_primitive();
const Primitive& sinh_primitive();
const Primitive& cosh_primitive();
const Primitive& tanh_primitive();
/// ct (1 - y^2), from y = tanh(x) and the cotangent.
const Primitive& tanh_grad_primitive();
const Primitive& asinh_primitive();
const Primitive& acosh_primitive();
const Primitive& atanh_primitive();
const Primitive& erf_primitive();
const Primitive& erfc_primitive();
const Primitive& erf_inv_primitive();
const Primitive& lgamma_primitive();
const Primitive& digamma_primitive();
const Primitive& floor_primitive();
const Primitive& ceil_primitive();
const Primitive& round_primitive();
const Primitive& trunc_primitive();

}  // namespace linnet
