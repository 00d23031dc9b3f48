// What all scatters share.
#pragma once

#include "core/ops/indexing.h"

namespace linnet {

TypeList infer_scatter(const char* operation, const ScatterParams& p, Inputs x);
DimMap scatter_dims(const ScatterParams& p, Inputs x);
TensorList batch_scatter(const Primitive& primitive, const ScatterParams& p,
                         const BatchedInputs& in);
/// The gather that reads the windows that a scatter writes; zero for those dropped.
Tensor read_windows(const ScatterParams& p, const Tensor& x, const Tensor& indices,
                    const Shape& updates);
/// Emits a scatter of updates converted to the dtype of `x`.
Tensor scatter_with(const Primitive& primitive, const Tensor& x, const Tensor& indices,
                    const Tensor& updates, const ScatterDims& dims, ScatterMode mode);

/// `values` for the rows of `x` at `indices`, negative ones wrapped.
struct RowUpdate {
  Tensor indices, updates;
  ScatterDims dims;
};
RowUpdate row_update(const char* operation, const Tensor& x, const Tensor& indices,
                     const Tensor& values);

}  // namespace linnet
