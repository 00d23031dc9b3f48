// What host code says to kernels that drop elements.
#pragma once

#include <cmath>

namespace linnet::cuda {

/// An element is kept where the upper 23 bits of its word are below this: where the number on [0,
/// 1) that they stand for is below 1 - rate in f32.
inline int dropout_threshold(double rate) {
  return static_cast<int>(std::ceil(static_cast<float>(1 - rate) * 0x1p23));
}

}  // namespace linnet::cuda
