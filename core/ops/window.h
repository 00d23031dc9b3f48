// Private: reductions over windows and the two linear maps behind the gradient of the maximum.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

/// One entry per dimension of x everywhere. Element t of window o is at o * stride - padding_low +
/// t * window_dilation in x with base_dilation - 1 holes between neighbours. Holes and padding
/// count as the identity of the reduction.
struct WindowParams {
  PerDimension<1> window, strides;
  PerDimension<0> padding_low, padding_high;
  PerDimension<1> base_dilation, window_dilation;
  LINNET_FIELDS(window, strides, padding_low, padding_high, base_dilation, window_dilation)

  /// Sizes of the result for x of sizes `in`.
  Shape out_size(const Shape& in) const;
};

const Primitive& reduce_window_sum_primitive();
/// base_dilation is 1.
const Primitive& reduce_window_max_primitive();
const Primitive& reduce_window_min_primitive();

/// The windows of x and which element of each is meant: the first largest or the first smallest in
/// row-major order. NaN counts as larger (smaller) than everything.
struct SelectParams {
  WindowParams window;
  bool maximum = true;
  LINNET_FIELDS(window, maximum)
};
/// source [windows…], x -> zeros like x plus source at the selected elements. Linear in source.
const Primitive& select_and_scatter_add_primitive();
/// values (shape of x), x -> [windows…], the values at the selected elements. Linear in values.
const Primitive& select_and_gather_primitive();

}  // namespace linnet
