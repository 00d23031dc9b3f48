// Scatters beside `scatter` and `scatter_add` of ops.h: duplicates are combined all the same.
//
//   Tensor best = index_max(full({3}, -1.f), tensor({0, 2, 0}), tensor({4.f, 5.f, 6.f}));
//   // [6, -1, 5]
#pragma once

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

/// `x` times all updates of a window (J-013).
Tensor scatter_mul(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode = ScatterMode::kDrop);
/// The smallest of `x` and its updates; NaN wins. Equal ones share the derivative.
Tensor scatter_min(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode = ScatterMode::kDrop);
Tensor scatter_max(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode = ScatterMode::kDrop);

/// Functional x.at[i].multiply/min/max(values) along axis 0, values converted to the dtype of `x`.
/// Negative indices wrap once; others out of range are dropped (J-010).
Tensor index_mul(const Tensor& x, const Tensor& indices, const Tensor& values);
Tensor index_min(const Tensor& x, const Tensor& indices, const Tensor& values);
Tensor index_max(const Tensor& x, const Tensor& indices, const Tensor& values);

}  // namespace linnet

#pragma GCC visibility pop
