// A strided tensor seen as lines along one axis: one line for every position of the other axes.
#pragma once

#include <cstdint>
#include <span>

#include "linnet/shape.h"

namespace linnet::cpu {

struct AxisLines {
  int64_t length = 1;      // elements of a line
  int64_t stride = 0;      // between elements of a line, in the operand
  int64_t out_stride = 0;  // the same in a dense result of the same shape
  int64_t lines = 1;
  Shape other_shape;
  Strides other_strides;
  Strides other_out_strides;

  AxisLines(std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t axis) {
    const Strides dense = dense_strides(shape);
    for (size_t i = 0; i < shape.size(); ++i) {
      if (static_cast<int64_t>(i) == axis) {
        length = shape[i];
        stride = strides[i];
        out_stride = dense[i];
      } else {
        other_shape.push_back(shape[i]);
        other_strides.push_back(strides[i]);
        other_out_strides.push_back(dense[i]);
        lines *= shape[i];
      }
    }
  }

  struct Start {
    int64_t in = 0;
    int64_t out = 0;
  };
  /// Offsets of the first element of line `index` (row-major over the other axes).
  Start start(int64_t index) const {
    Start at;
    for (size_t i = other_shape.size(); i-- > 0;) {
      const int64_t position = index % other_shape[i];
      index /= other_shape[i];
      at.in += position * other_strides[i];
      at.out += position * other_out_strides[i];
    }
    return at;
  }

  /// Number of lines from `index` on, up to `limit`, whose starts are equally spaced along the last
  /// other axis.
  int64_t neighbours(int64_t index, int64_t limit) const {
    if (other_shape.empty()) return 1;
    const int64_t left = other_shape.back() - index % other_shape.back();
    return left < limit ? left : limit;
  }
  int64_t neighbour_stride() const { return other_strides.empty() ? 0 : other_strides.back(); }
  int64_t neighbour_out_stride() const {
    return other_out_strides.empty() ? 0 : other_out_strides.back();
  }
};

}  // namespace linnet::cpu
