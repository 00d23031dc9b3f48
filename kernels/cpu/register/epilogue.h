// Private: the activations of fused primitives as the kernels name them.
#pragma once

#include "core/ops/fused.h"
#include "kernels/cpu/gemm/activation.h"

namespace linnet::cpu {

inline Activation activation_of(FusedActivation activation) {
  switch (activation) {
    case FusedActivation::kNone:
      return Activation::kNone;
    case FusedActivation::kRelu:
      return Activation::kRelu;
    case FusedActivation::kGeluTanh:
      return Activation::kGeluTanh;
    case FusedActivation::kGeluErf:
      return Activation::kGeluErf;
    case FusedActivation::kSilu:
      return Activation::kSilu;
    case FusedActivation::kTanh:
      return Activation::kTanh;
    case FusedActivation::kLogistic:
      break;
  }
  return Activation::kLogistic;
}

}  // namespace linnet::cpu
