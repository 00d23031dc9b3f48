// Private: whether reading a tensor row by row jumps through memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace linnet {

/// Whether the rows of a large tensor lie across its memory, as those of a transposed matrix do. A
/// kernel that goes through it element by element would touch a line for each; a copy that turns
/// blocks over first is cheaper, whatever follows.
inline bool lies_across(size_t element_size, std::span<const int64_t> shape,
                        std::span<const int64_t> strides) {
  constexpr int64_t kCacheBytes = 32 << 10;  // below this its lines stay in the first-level cache
  constexpr int64_t kLeastSide = 8;
  size_t last = shape.size();
  while (last > 0 && shape[last - 1] == 1) --last;
  if (last < 2 || strides[last - 1] <= 1 || shape[last - 1] < kLeastSide) return false;
  int64_t bytes = static_cast<int64_t>(element_size);
  bool is_dense_elsewhere = false;
  for (size_t i = 0; i < last; ++i) {
    if (strides[i] != 0) bytes *= shape[i];
    is_dense_elsewhere |= strides[i] == 1 && shape[i] >= kLeastSide;
  }
  return is_dense_elsewhere && bytes >= kCacheBytes;
}

}  // namespace linnet
