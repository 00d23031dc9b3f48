// Shapes and strides of kernel tests as plain lists.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

namespace linnet::cpu {

using Dims = std::vector<int64_t>;

inline int64_t count_of(const Dims& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// Offset of the element with row-major number `i`.
inline int64_t offset_of(const Dims& shape, const Dims& strides, int64_t i) {
  int64_t offset = 0;
  for (size_t d = shape.size(); d-- > 0;) {
    offset += i % shape[d] * strides[d];
    i /= shape[d];
  }
  return offset;
}

}  // namespace linnet::cpu
