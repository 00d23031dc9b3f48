// Activations by definition, in long double: what fused and separate kernels are held against.
#pragma once

#include <cmath>

#include "core/ops/scalar_functions.h"
#include "linnet/error.h"

namespace linnet::testing {

inline long double exact_softplus(long double x) {
  return std::fmax(x, 0.0L) + std::log1p(std::exp(-std::fabs(x)));
}

/// 1 / (1 + e^-x) without overflow.
inline long double exact_logistic(long double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

/// NaN gives NaN.
inline long double exact_activation(Activation activation, long double x) {
  if (!activation || std::isnan(x)) return x;
  switch (*activation) {
    case ScalarOp::kRelu:
      return std::fmax(x, 0.0L);
    case ScalarOp::kRelu6:
      return std::fmin(std::fmax(x, 0.0L), 6.0L);
    case ScalarOp::kGeluTanh:
      // x/2 (1 + tanh(u)) = x logistic(2u), which does not cancel.
      return x * exact_logistic(2 * 0.797884560802865355879892L * (x + 0.044715L * x * x * x));
    case ScalarOp::kGeluErf:
      return 0.5L * x * std::erfc(-x * 0.707106781186547524400844L);
    case ScalarOp::kSilu:
      return x * exact_logistic(x);
    case ScalarOp::kTanh:
      return std::tanh(x);
    case ScalarOp::kLogistic:
      return exact_logistic(x);
    case ScalarOp::kSoftplus:
      return exact_softplus(x);
    case ScalarOp::kLogSigmoid:
      return -exact_softplus(-x);
    default:
      throw ValueError("no definition of this activation here");
  }
}

}  // namespace linnet::testing
