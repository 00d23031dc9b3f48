// Swapping the byte order of values read from files. Private.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace linnet {

/// Reverses the bytes of every value of `width` bytes in place.
inline void swap_byte_order(std::span<std::byte> values, size_t width) {
  if (width < 2) return;
  for (size_t i = 0; i + width <= values.size(); i += width) {
    std::reverse(values.begin() + static_cast<std::ptrdiff_t>(i),
                 values.begin() + static_cast<std::ptrdiff_t>(i + width));
  }
}

}  // namespace linnet
