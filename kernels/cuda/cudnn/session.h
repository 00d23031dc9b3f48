// The cuDNN handles of this process, one for each device.
#pragma once

#include <string>

#include "kernels/cuda/cudnn/frontend.h"

namespace linnet::cuda {
class Gpu;
}

namespace linnet::cuda::cudnn {

/// For plans of this machine's devices. Null, and why, if there is no device or no library.
const Context* find_context(std::string& reason);

/// Sends what the handle starts from now on to `stream`. The caller holds the device's lock.
/// @throws DeviceError
void* handle_on(void* stream);

}  // namespace linnet::cuda::cudnn
