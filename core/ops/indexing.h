// Primitives that read and write parts of tensors.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

/// 0 <= start <= stop <= size and stride >= 1, one entry per dimension.
struct SliceParams {
  PerDimension<0> start;
  Extents stop;
  PerDimension<1> strides;
  LINNET_FIELDS(start, stop, strides)
};
/// Operands: x, then one zero-dimensional integer start per dimension. Starts are clamped so that
/// the slice fits.
struct DynamicSliceParams {
  Shape sizes;
  LINNET_FIELDS(sizes)
};
/// Operands: x, update, then the starts. Starts are clamped so that the update fits.
struct DynamicUpdateSliceParams {
  LINNET_FIELDS()
};
/// Operands: x, indices. In the fill mode, slices out of range read `fill_value(dtype)`, or zero
/// with `zero_fill`, which is what derivatives need.
struct GatherParams {
  Axes offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims,
      indices_batching_dims;
  Shape slice_sizes;
  GatherMode mode = GatherMode::kFill;
  bool zero_fill = false;
  LINNET_FIELDS(offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims,
                indices_batching_dims, slice_sizes, mode, zero_fill)
};
/// Operands: x, indices, updates. Windows out of range are dropped, clamped or promised not to
/// occur.
struct ScatterParams {
  Axes update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims,
      operand_batching_dims, indices_batching_dims;
  ScatterMode mode = ScatterMode::kDrop;
  LINNET_FIELDS(update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims,
                operand_batching_dims, indices_batching_dims, mode)
};

const Primitive& slice_primitive();
const Primitive& dynamic_slice_primitive();
const Primitive& dynamic_update_slice_primitive();
const Primitive& gather_primitive();
const Primitive& scatter_add_primitive();
const Primitive& scatter_primitive();
const Primitive& scatter_mul_primitive();
const Primitive& scatter_min_primitive();
const Primitive& scatter_max_primitive();

/// Size of the result of a gather over `x` with `indices`. @throws ShapeError if anything does not
/// fit.
Shape gather_shape(const GatherParams& params, const Tensor& x, const Tensor& indices);
/// Checks the operands of a scatter. @throws ShapeError
void check_scatter(const char* operation, const ScatterParams& params, const Tensor& x,
                   const Tensor& indices, const Tensor& updates);

}  // namespace linnet
