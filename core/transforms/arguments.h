// Private: what arguments must be for a function to be differentiated with respect to them.
#pragma once

#include "linnet/tensor.h"

namespace linnet::detail {

/// @throws ValueError for undefined leaves, and if no leaf is floating; DTypeError for a leaf that
/// is not floating if `all_floating`.
void require_differentiable(const char* transformation, const TensorList& leaves,
                            bool all_floating = false);

/// @throws DTypeError unless `tensor`, which is called `what`, is complex if the function is
/// holomorphic, and real otherwise.
void require_kind(const char* transformation, const char* what, const Tensor& tensor,
                  bool holomorphic);

/// A tangent or cotangent that was a C++ number takes the floating dtype of what it belongs to.
Tensor literal_as(DType dtype, const Tensor& tensor);

}  // namespace linnet::detail
