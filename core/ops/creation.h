// Primitives without operands, and the dense copy.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

struct IotaParams {
  DType dtype;
  Shape shape;
  int64_t axis = 0;
  Device device;
  LINNET_FIELDS(dtype, shape, axis, device)
};

/// `iota`: 0, 1, … along one axis.
const Primitive& iota_primitive();
/// Zero-dimensional `value` repeated on a device; under a transformation a broadcast, which
/// compilers see through.
Tensor filled(const Tensor& value, const Shape& shape, Device device);
/// Zeros of a type, on its device.
Tensor zeros_of(const TensorType& type);
/// `iota` on a device.
Tensor iota_on(Device device, DType dtype, const Shape& shape, int64_t axis = 0);
/// `copy`: the same values in fresh dense memory.
const Primitive& copy_primitive();

}  // namespace linnet
