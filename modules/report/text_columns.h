// How many columns of a terminal a text takes. Private.
#pragma once

#include <algorithm>
#include <string_view>

namespace linnet {

/// Characters of UTF-8 text, counted as one column each.
inline int columns_of(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace linnet
