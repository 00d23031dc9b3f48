// Private: the contraction primitive.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

/// Axes are not negative; lists of one operand do not overlap.
struct DotParams {
  Axes lhs_contract, rhs_contract, lhs_batch, rhs_batch;
  DType result = DType::kF32;  ///< dtype of the result and, at least, of the accumulation
  LINNET_FIELDS(lhs_contract, rhs_contract, lhs_batch, rhs_batch, result)
};

/// Operands lhs, rhs of one dtype -> [batch…, free of lhs…, free of rhs…].
const Primitive& dot_general_primitive();

/// Axes below `rank` that are neither in `a` nor in `b`, ascending.
Axes free_axes(size_t rank, const Axes& a, const Axes& b);
/// Result shape of a contraction.
Shape dot_shape(const DotParams& params, const Shape& lhs, const Shape& rhs);

/// Types and axes checked, operands of one dtype: what `dot_general` does before it emits.
struct PreparedDot {
  Tensor lhs, rhs;
  DotParams params;
};
PreparedDot prepare_dot(const char* operation, const Tensor& lhs, const Tensor& rhs,
                        const DotDims& dims, std::optional<DType> preferred_element_type);

}  // namespace linnet
