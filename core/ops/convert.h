// Primitives that change the element type.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

struct ConvertParams {
  DType dtype;
  bool weak = false;
  LINNET_FIELDS(dtype, weak)
};
struct BitcastParams {
  DType dtype;
  LINNET_FIELDS(dtype)
};

/// `convert_element_type`: linear, its transpose converts back.
const Primitive& convert_primitive();
/// `bitcast_convert_type`: the same bits under another type of the same size.
const Primitive& bitcast_primitive();

}  // namespace linnet
