// Primitives of the activations that are worth one of their own, and of the fused products of their
// derivatives with a cotangent.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

/// Negative slope of leaky_relu, scale of the negative branch of elu.
struct AlphaParams {
  double alpha = 1;
  LINNET_FIELDS(alpha)
};

const Primitive& logistic_primitive();
/// ct y (1 - y), from y = logistic(x) and the cotangent.
const Primitive& logistic_grad_primitive();
const Primitive& relu_primitive();
/// Operands of the `_grad` primitives: x, then the cotangent, in which they are linear.
const Primitive& relu_grad_primitive();
const Primitive& relu6_primitive();
const Primitive& leaky_relu_primitive();
const Primitive& elu_primitive();
const Primitive& silu_primitive();
const Primitive& silu_grad_primitive();
const Primitive& gelu_tanh_primitive();
const Primitive& gelu_tanh_grad_primitive();
const Primitive& gelu_erf_primitive();
const Primitive& gelu_erf_grad_primitive();
const Primitive& softplus_primitive();
const Primitive& log_sigmoid_primitive();

}  // namespace linnet
