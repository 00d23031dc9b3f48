// Private: products and convolutions with what follows them, as one node. The compiler makes them
// from their parts; nothing else emits them.
#pragma once

#include "core/ops/conv.h"
#include "core/ops/dot.h"

namespace linnet {

/// Function applied to the product plus bias, before the residual is added.
enum class FusedActivation : uint8_t { kNone, kRelu, kGeluTanh, kGeluErf, kSilu, kTanh, kLogistic };

Tensor apply_activation(const Tensor& x, FusedActivation activation);

/// activation(dot_general(x, w) + bias) + residual.
struct LinearBiasActivationParams {
  DotParams dot;
  bool has_bias = false, has_residual = false;
  FusedActivation activation = FusedActivation::kNone;
  LINNET_FIELDS(dot, has_bias, has_residual, activation)
};
/// Operands x, w, [bias], [residual]. The bias has the shape of the free axes of w, the residual
/// that of the result; both have the dtype of the result.
const Primitive& linear_bias_activation_primitive();

/// activation(conv(x, w) + bias) + residual.
struct ConvBiasActivationParams {
  ConvParams conv;
  bool has_bias = false, has_residual = false;
  FusedActivation activation = FusedActivation::kNone;
  LINNET_FIELDS(conv, has_bias, has_residual, activation)
};
/// Operands x, w, [bias [out]], [residual], all of one dtype.
const Primitive& conv_bias_activation_primitive();

}  // namespace linnet
