// The parameters of filter.cu.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

/// y [columns, rows] = x [rows, columns], transposed.
struct FilterArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;
  long long rows = 0, columns = 0;
};

constexpr int kFilterTile = 32, kFilterThreads = 256;

}  // namespace linnet::cuda
