// In which dtype a layer computes (L-116): the one it is told, or the common type of what it is
// given.
//
//   TensorList same = layers::promote_dtype({x, kernel, bias}, {});     // undefined ones stay
//   undefined
#pragma once

#include <optional>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// `dtype` if given; else the promoted dtype of all defined tensors, integers together with f32.
/// @throws DTypeError if `dtype` is given and not a floating type.
DType canonicalize_dtype(const TensorList& tensors, std::optional<DType> dtype);
/// All defined tensors in that dtype.
TensorList promote_dtype(TensorList tensors, std::optional<DType> dtype);

}  // namespace linnet::layers

namespace linnet::linen {
using layers::canonicalize_dtype;
using layers::promote_dtype;
}  // namespace linnet::linen

#pragma GCC visibility pop
