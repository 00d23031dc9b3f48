// The real library, beside this one.
#pragma once

#include "kernels/cuda/cudnn/library.h"

namespace linnet::fake_cudnn {

/// Null if it is not installed, or not to be asked.
const cuda::cudnn::Library* real_library();

/// A descriptor of the card that the driver pretends to have, for the real library.
cudnnBackendDescriptor_t real_device();

}  // namespace linnet::fake_cudnn
