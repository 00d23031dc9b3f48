// Parameters of all kernels that check device.h.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

struct ConformanceArgs {
  static constexpr unsigned kPointers = 2;
  Global<const unsigned> in;  ///< words
  Global<unsigned> out;       ///< words, 0 at first
  int count;                  ///< of what the kernel works on
  int unused;
};

}  // namespace linnet::cuda
