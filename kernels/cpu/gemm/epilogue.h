// What follows the sums of a product. The functions are the loops behind the elementwise kernels,
// so that a product with its activation gives the bits of the two one after the other.
#pragma once

#include <cstdint>

#include "core/ops/scalar_functions.h"

namespace linnet::cpu {

/// values[i] = activation(values[i]) + residual[i] for i < count; `residual` may be null.
void finish_row(Activation activation, float* values, const float* residual, int64_t count);
void finish_row(Activation activation, double* values, const double* residual, int64_t count);

}  // namespace linnet::cpu
