// Private: the number that elementwise primitives with a parameter hand to their scalar function.
#pragma once

#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"

namespace linnet {

inline double scalar_param(ParamsRef params) {
  if (params.is<IntegerPowParams>())
    return static_cast<double>(params.as<IntegerPowParams>().exponent);
  if (params.is<AlphaParams>()) return params.as<AlphaParams>().alpha;
  return 0;
}

}  // namespace linnet
