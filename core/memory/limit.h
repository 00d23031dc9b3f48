// Private: memory of a device within its limit.
#pragma once

#include <cstddef>

#include "linnet/device.h"

namespace linnet {

/// `allocator.allocate(bytes)`, unless the limit of the device forbids it.
/// @throws DeviceError, which also names the largest owners.
void* allocate_within_limit(Allocator& allocator, Device device, size_t bytes);

}  // namespace linnet
