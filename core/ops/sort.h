// Primitives that order elements along an axis.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

struct SortParams {
  Axis axis;
  LINNET_FIELDS(axis)
};

/// Ascending, stable, NaN last.
const Primitive& sort_primitive();
/// Positions (i32) that would sort.
const Primitive& argsort_primitive();

}  // namespace linnet
