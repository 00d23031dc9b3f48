// Primitives of comparison, classification and bits.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

const Primitive& eq_primitive();
const Primitive& ne_primitive();
const Primitive& lt_primitive();
const Primitive& le_primitive();
const Primitive& gt_primitive();
const Primitive& ge_primitive();
const Primitive& is_nan_primitive();
const Primitive& is_inf_primitive();
const Primitive& is_finite_primitive();
const Primitive& and_primitive();
const Primitive& or_primitive();
const Primitive& xor_primitive();
const Primitive& not_primitive();
const Primitive& shift_left_primitive();
const Primitive& shift_right_logical_primitive();
const Primitive& shift_right_arithmetic_primitive();

}  // namespace linnet
