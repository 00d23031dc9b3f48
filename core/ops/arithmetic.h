// Primitives of arithmetic, selection and identity. Operands of one call have equal shapes and
// dtypes.
#pragma once

#include <string>

#include "core/ops/scalar_primitives.h"

namespace linnet {

struct IntegerPowParams {
  int64_t exponent = 1;
  LINNET_FIELDS(exponent)
};

struct CheckpointNameParams {
  std::string name;
  LINNET_FIELDS(name)
};

/// `stop_gradient`: the operand itself, with derivative zero.
const Primitive& stop_gradient_primitive();
/// `checkpoint_name`: the operand itself, known to the policies of `checkpoint`.
const Primitive& checkpoint_name_primitive();
/// `optimization_barrier`: any number of operands, each returned as it is.
const Primitive& optimization_barrier_primitive();

}  // namespace linnet
