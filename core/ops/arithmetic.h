// Primitives of arithmetic, selection and identity. Operands of one call have equal shapes and
// dtypes.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

struct IntegerPowParams {
  int64_t exponent = 1;
  LINNET_FIELDS(exponent)
};

const Primitive& add_primitive();
const Primitive& sub_primitive();
const Primitive& mul_primitive();
/// Quotient; of integers truncated toward zero.
const Primitive& div_primitive();
/// Remainder with the sign of the dividend.
const Primitive& rem_primitive();
const Primitive& pow_primitive();
const Primitive& integer_pow_primitive();
const Primitive& max_primitive();
const Primitive& min_primitive();
const Primitive& atan2_primitive();
const Primitive& nextafter_primitive();
const Primitive& logaddexp_primitive();
const Primitive& neg_primitive();
const Primitive& abs_primitive();
const Primitive& sign_primitive();
const Primitive& square_primitive();
const Primitive& reciprocal_primitive();
/// `select`: operand 0 (bool) chooses between operands 1 and 2.
const Primitive& select_primitive();
/// `stop_gradient`: the operand itself, with derivative zero.
const Primitive& stop_gradient_primitive();
/// `optimization_barrier`: any number of operands, each returned as it is.
const Primitive& optimization_barrier_primitive();

}  // namespace linnet
