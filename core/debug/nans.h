// Private: whether an operation gave the first NaN.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

/// @throws NanError naming the operation, its types and the present module path if the thread
/// checks for NaN and a result has one.
void check_for_nans(const Primitive& primitive, Inputs inputs, Outputs outputs);

}  // namespace linnet
