// Shapes and strides of kernel tests as plain lists, and numbers of 16 bits.
#pragma once

#include <cmath>
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

/// Every value of a type of 16 bits.
template <class T>
std::vector<T> all_halves() {
  std::vector<T> values(65536);
  for (size_t i = 0; i < values.size(); ++i) values[i].bits = static_cast<uint16_t>(i);
  return values;
}

/// Equal bits, or both NaN.
template <class T>
bool same_half(T a, T b) {
  return a.bits == b.bits ||
         (std::isnan(static_cast<float>(a)) && std::isnan(static_cast<float>(b)));
}

}  // namespace linnet::cpu
