// Private: the back end of a device, if it has one.
#pragma once

#include <cstddef>

#include "linnet/back_end.h"

namespace linnet {

/// Codes of DLPack, and devices of one type.
inline constexpr size_t kDeviceTypes = 32, kDevicesOfType = 8;

/// Null for devices whose memory somebody serves without computing there.
BackEnd* find_back_end(Device device);

}  // namespace linnet
