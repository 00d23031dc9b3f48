// Arrays of elements that are two words side by side, seen as arrays of those words with one more
// dimension of size 2.
#pragma once

#include "linnet/shape.h"

namespace linnet::cpu {

inline Shape paired_shape(std::span<const int64_t> shape) {
  Shape out(shape);
  out.push_back(2);
  return out;
}
inline Strides paired_strides(std::span<const int64_t> strides) {
  Strides out(strides);
  for (int64_t& stride : out) stride *= 2;
  out.push_back(1);
  return out;
}

}  // namespace linnet::cpu
