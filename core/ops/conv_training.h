// Private: convolutions as training needs them, with what follows, as one node. The compiler makes
// them where a kernel takes them; nothing else emits them.
#pragma once

#include "core/ops/conv.h"

namespace linnet {

struct ConvDataAddParams {
  ConvParams conv;
  bool masks = false;
  LINNET_FIELDS(conv, masks)
};
/// Operands g, w of `conv_backward_data`, then `other` and, if it masks, y, both of the type of its
/// result d -> d + other, where y is positive, else 0: what a residual block gives back through the
/// activation before it.
const Primitive& conv_backward_data_add_primitive();

/// Operands x, w of `conv` -> its result, and mean and population variance of each of its channels,
/// as `batch_norm_train` gives them.
const Primitive& conv_and_moments_primitive();

}  // namespace linnet
