// The primitive between devices, and numbers that follow a device.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

struct DevicePutParams {
  Device device;
  LINNET_FIELDS(device)
};

/// `device_put`: the same values on another device (J-093). Compiled programs run on one device;
/// there it stands for the value itself, and results are moved when they leave.
const Primitive& device_put_primitive();

}  // namespace linnet
