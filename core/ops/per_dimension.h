// One number for each dimension: strides, dilation factors, sizes of a window.
//
//   p.strides = per_dimension("reduce_window", "strides", options.strides, rank);
#pragma once

#include <vector>

#include "linnet/shape.h"

namespace linnet::detail {

/// `values`, or ones if there are none.
/// @throws ShapeError if there are others than `rank`; ValueError if one is less than 1. Both name
/// the
///   `operation` and `what` the numbers are.
Shape per_dimension(const char* operation, const char* what, const std::vector<int64_t>& values,
                    size_t rank);

}  // namespace linnet::detail
