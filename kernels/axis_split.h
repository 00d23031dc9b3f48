// A shape seen as [outer, axis, inner] around a run of axes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace linnet {

struct AxisSplit {
  int64_t outer = 1, axis = 1, inner = 1;
  AxisSplit(std::span<const int64_t> shape, size_t begin, size_t end) {
    for (size_t i = 0; i < shape.size(); ++i)
      (i < begin ? outer : i < end ? axis : inner) *= shape[i];
  }
};

}  // namespace linnet
