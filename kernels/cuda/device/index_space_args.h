// What host and device know of index spaces (index_space.h).
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

inline constexpr int kMostDimensions = 8;

/// A divisor of numbers below 2^31, with what replaces the division (Granlund and Montgomery,
/// "Division by invariant integers using multiplication", 1994): n / value is
/// (high word of n * multiplier + n) >> shift.
struct Divisor {
  unsigned value = 1, multiplier = 1, shift = 0;
};

template <int kOperands>
struct IndexSpace {
  unsigned count = 0;  ///< positions, below 2^31
  int rank = 1;        ///< at least 1
  Divisor sizes[kMostDimensions];
  long long strides[kMostDimensions][kOperands] = {};
};

}  // namespace linnet::cuda
