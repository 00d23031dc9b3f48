// The parameters of `iota`.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

/// y[outer, size, inner] = position in the middle dimension; `storage` is a DType.
struct IotaArgs {
  static constexpr unsigned kPointers = 1;
  Global<char> y;
  long long count = 0, size = 0, inner = 0;
  int storage = 0;
};

}  // namespace linnet::cuda
