// Private: the three convolution primitives. They are the derivatives of one trilinear form
// T(x, w, g) = sum(g * conv(x, w)) with respect to g, x and w, so that each is a transpose of the
// others and derivatives of any order stay among them.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

/// Geometry of y[n, o, c] = sum over kernel positions t and input channels i of the group of c of
/// xd[n, o * stride - padding_low + t * rhs_dilation, i] w[t, i, c], where xd is x with
/// lhs_dilation - 1 zeros between neighbours. One entry per spatial dimension everywhere.
struct ConvParams {
  Shape strides, padding_low, padding_high, lhs_dilation, rhs_dilation;
  int64_t groups = 1;
  Shape in_size, kernel_size;  ///< spatial sizes of x and of w
  LINNET_FIELDS(strides, padding_low, padding_high, lhs_dilation, rhs_dilation, groups, in_size,
                kernel_size)

  /// Spatial sizes of y.
  Shape out_size() const;
};

/// x [batch, spatial…, in], w [spatial…, in / groups, out] -> y [batch, spatial…, out].
const Primitive& conv_primitive();
/// g [batch, spatial of y…, out], w -> [batch, spatial of x…, in].
const Primitive& conv_backward_data_primitive();
/// x, g -> [kernel…, in / groups, out].
const Primitive& conv_backward_weights_primitive();

}  // namespace linnet
