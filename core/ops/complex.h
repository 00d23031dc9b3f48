// Primitives between complex tensors and real ones.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

const Primitive& complex_primitive();
const Primitive& real_primitive();
const Primitive& imag_primitive();
const Primitive& conj_primitive();
/// |z|, which is real and not holomorphic: another function than the `abs` of real numbers.
const Primitive& complex_abs_primitive();

}  // namespace linnet
