// Primitives without operands, and the dense copy.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

struct IotaParams {
  DType dtype;
  Shape shape;
  int64_t axis = 0;
  LINNET_FIELDS(dtype, shape, axis)
};

/// `iota`: 0, 1, … along one axis.
const Primitive& iota_primitive();
/// `copy`: the same values in fresh dense memory.
const Primitive& copy_primitive();

}  // namespace linnet
