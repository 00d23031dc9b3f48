// Primitives that move elements without computing with them, and helpers of batching rules.
#pragma once

#include <cstdint>
#include <vector>

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

struct ReshapeParams {
  Extents shape;
  LINNET_FIELDS(shape)
};
struct TransposeParams {
  AxisMap permutation;
  LINNET_FIELDS(permutation)
};
/// Operand dimension i becomes dimension `dimensions[i]`, strictly increasing; sizes of 1 repeat.
struct BroadcastInDimParams {
  Extents shape;
  AxisMap dimensions;
  LINNET_FIELDS(shape, dimensions)
};
struct ConcatenateParams {
  Axis axis;
  LINNET_FIELDS(axis)
};
/// Sizes of the parts along the axis, which they fill.
struct SplitParams {
  Axis axis;
  std::vector<int64_t> sizes;
  LINNET_FIELDS(axis, sizes)
};
struct ReverseParams {
  AxisList axes;
  LINNET_FIELDS(axes)
};
/// One entry per dimension. Operands: x and the zero-dimensional padding value; without the value
/// the padding is zero, and its derivative need not be computed.
struct PadParams {
  std::vector<PadDim> padding;
  LINNET_FIELDS(padding)
};

const Primitive& reshape_primitive();
const Primitive& transpose_primitive();
const Primitive& broadcast_in_dim_primitive();
const Primitive& concatenate_primitive();
const Primitive& split_primitive();
const Primitive& reverse_primitive();
const Primitive& pad_primitive();

/// 0, 1, …, rank - 1.
Axes all_axes(size_t rank);
/// The axes that are not in `axes`, ascending; all axes non-negative.
Axes complement(const Axes& axes, size_t rank);
/// Every axis plus one: what becomes of axes when a batch dimension is put in front.
Axes shifted(const Axes& axes);
/// The permutation that undoes `permutation`.
Axes inverse(const Axes& permutation);
/// Whether `axes` are 0, 1, …
bool is_in_order(const Axes& axes);
/// `shape` with `size` in front.
Shape with_batch(const Shape& shape, int64_t size);
/// `x` with a dimension of size `size` in front, along which it repeats.
Tensor repeated(const Tensor& x, int64_t size);
/// Operand `index` with the batch dimension in front, broadcast if it has none.
Tensor batched_operand(const BatchedInputs& in, size_t index);

}  // namespace linnet
