// The CPU as a back end: kernels run where they are called, and memory is the program's own.
#pragma once

#include "linnet/back_end.h"

namespace linnet {

BackEnd& cpu_back_end();

}  // namespace linnet
