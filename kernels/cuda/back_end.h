// The back end of CUDA devices. Nothing of CUDA is needed to link it or to start; asking for memory
// on a machine without a driver is an error that says what was looked for.
#pragma once

#include "linnet/back_end.h"

namespace linnet::cuda {

BackEnd& back_end();

}  // namespace linnet::cuda
