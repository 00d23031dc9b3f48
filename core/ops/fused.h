// Private: products and convolutions with what follows them, as one node. The compiler makes them
// from their parts; nothing else emits them.
#pragma once

#include <span>

#include "core/ops/conv.h"
#include "core/ops/dot.h"
#include "core/ops/scalar_functions.h"

namespace linnet {

/// An elementwise function of one operand that may follow a product inside its kernel.
struct EpilogueActivation {
  ScalarOp op;
  const Primitive& (*primitive)();
};

/// Every one of them; the only list. Kernels apply them with the elementwise loops of the same
/// function.
std::span<const EpilogueActivation> epilogue_activations();

/// For parameters that are read from text: whether there is a scalar function of that name.
inline bool from_name(std::string_view name, ScalarOp& op) {
  const std::optional<ScalarOp> found = find_scalar_op(name);
  if (found) op = *found;
  return found.has_value();
}

Tensor apply_activation(const Tensor& x, Activation activation);

/// activation(dot_general(x, w) + bias) + residual.
struct LinearBiasActivationParams {
  DotParams dot;
  bool has_bias = false, has_residual = false;
  Activation activation = {};
  LINNET_FIELDS(dot, has_bias, has_residual, activation)
};
/// Operands x, w, [bias], [residual]. The bias has the shape of the free axes of w, the residual
/// that of the result; both have the dtype of the result.
const Primitive& linear_bias_activation_primitive();

/// The same for x [m, k] and a matrix [k, columns] in panels [ceil(columns / c), k, c], as a
/// product reads it, of which the last one is filled up with anything. For matrices that stay the
/// same.
struct PanelLinearParams {
  int64_t columns = 0;
  bool has_bias = false, has_residual = false;
  Activation activation = {};
  LINNET_FIELDS(columns, has_bias, has_residual, activation)
};
const Primitive& panel_linear_primitive();

/// activation(conv(x, w) + bias) + residual.
struct ConvBiasActivationParams {
  ConvParams conv;
  bool has_bias = false, has_residual = false;
  Activation activation = {};
  LINNET_FIELDS(conv, has_bias, has_residual, activation)
};
/// Operands x, w, [bias [out]], [residual], all of one dtype.
const Primitive& conv_bias_activation_primitive();

}  // namespace linnet
