// Primitives that combine elements along axes.
#pragma once

#include "linnet/ops.h"
#include "linnet/primitive.h"

namespace linnet {

/// The reduced axes, ascending and non-negative.
struct ReduceParams {
  AxisList axes;
  LINNET_FIELDS(axes)
};
struct ArgReduceParams {
  Axis axis;
  LINNET_FIELDS(axis)
};
struct CumulativeParams {
  Axis axis;
  bool reverse = false;
  LINNET_FIELDS(axis, reverse)
};

const Primitive& reduce_sum_primitive();
const Primitive& reduce_prod_primitive();
const Primitive& reduce_max_primitive();
const Primitive& reduce_min_primitive();
const Primitive& reduce_and_primitive();
const Primitive& reduce_or_primitive();
const Primitive& argmax_primitive();
const Primitive& argmin_primitive();
const Primitive& cumsum_primitive();
const Primitive& cumprod_primitive();
const Primitive& cummax_primitive();
/// Any number of floating operands of any shapes; f32, or f64 if one of them is f64.
const Primitive& sum_of_squares_primitive();

/// Definitions in their own files.
void define_cumulative();
void define_sorting();

/// The axes meant by an optional list: all of them without one. Ascending.
Axes reduced_axes(const char* operation, const Tensor& x, const ReductionAxes& axes);
/// A reduced tensor repeated over the axes that the reduction of `shape` removed.
Tensor expand_reduced(const Tensor& reduced, const Shape& shape, const Axes& axes);
/// @throws ShapeError if positions along `axis` do not fit i32.
void require_i32_positions(const char* operation, int64_t axis, const Tensor& x);
/// The dtype integers are summed in: at least 32 bits; bool counts in i32. Floats stay.
DType accumulation_dtype(DType dtype);

}  // namespace linnet
