// Private: products as training needs them, with what comes before or after them, as one node. The
// compiler makes them where a kernel takes them; nothing else emits them.
#pragma once

#include "core/ops/dot.h"
#include "core/ops/scalar_functions.h"

namespace linnet {

/// The primitive (x, dy) -> f'(x) dy of an activation f that these products have; null for others.
const Primitive* activation_gradient(ScalarOp activation);

/// With h = dot_general(x, w) + bias: activation(h), and h itself for the way back.
struct LinearActivationParams {
  DotParams dot;
  bool has_bias = false;
  ScalarOp activation = ScalarOp::kGeluTanh;
  LINNET_FIELDS(dot, has_bias, activation)
};
/// Operands x, w, [bias] as of `linear_bias_activation` -> two results of one type.
const Primitive& linear_activation_and_input_primitive();

/// activation'(x) dot_general(lhs, rhs).
struct DotActivationGradParams {
  DotParams dot;
  ScalarOp activation = ScalarOp::kGeluTanh;
  LINNET_FIELDS(dot, activation)
};
/// Operands lhs, rhs, and x of the type of the result.
const Primitive& dot_activation_grad_primitive();

/// dot_general(lhs, rhs), and the sums of one operand over the axes that are contracted: the
/// gradients of a kernel and of a bias. There are no batch axes.
struct DotAndSumsParams {
  DotParams dot;
  bool of_lhs = false;  ///< else the sums are those of rhs
  LINNET_FIELDS(dot, of_lhs)
};
const Primitive& dot_and_sums_primitive();

void define_dot_training();

}  // namespace linnet
