// What gather and scatter share when they are planned.
#pragma once

#include <algorithm>
#include <span>

#include "kernels/cuda/index/index_vectors.h"
#include "kernels/cuda/register/dimensions.h"
#include "linnet/shape.h"

namespace linnet::cuda {

inline bool contains_axis(const Axes& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
}

/// Where an index vector's window begins, from `indices` [batch…, components]. False if vectors are
/// too long, or windows do not fit at all.
/// @param window the size of a window in each dimension of the operand
inline bool fill_vectors(const OperandView& indices, const OperandView& operand,
                         std::span<const int64_t> strides, std::span<const int64_t> window,
                         const Axes& dimensions, bool drops, IndexVectors& vectors) {
  if (dimensions.size() > kIndexComponents) return false;
  vectors.type = element_type(indices.dtype);
  vectors.drops = drops;
  vectors.components = static_cast<int32_t>(dimensions.size());
  vectors.component_stride = indices.strides.back();
  for (size_t c = 0; c < dimensions.size(); ++c) {
    const size_t d = static_cast<size_t>(dimensions[c]);
    vectors.last[c] = operand.shape[d] - window[d];
    vectors.stride[c] = strides[d];
    if (vectors.last[c] < 0) return false;
  }
  return true;
}

}  // namespace linnet::cuda
