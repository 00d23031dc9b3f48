// Kernels of the tests of the emulated driver.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::testing {

/// y = factor x + term, for at most 64 numbers.
struct LineArgs {
  static constexpr unsigned kPointers = 2;
  cuda::Global<const float> x;
  cuda::Global<float> y;
  float factor = 1, term = 0;
  int count = 0;
};

}  // namespace linnet::testing
