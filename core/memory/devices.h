// Private: the back end of a device, if it has one.
#pragma once

#include "linnet/back_end.h"

namespace linnet {

/// Null for devices whose memory somebody serves without computing there.
BackEnd* find_back_end(Device device);

}  // namespace linnet
