// The memory of the CPU.
#pragma once

#include "linnet/device.h"

namespace linnet {

Allocator& cpu_allocator();

}  // namespace linnet
