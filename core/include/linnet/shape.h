// Shapes, strides and axes.
//
//   Shape s{32, 784};
//   int64_t n = element_count(s);      // 25088
//   std::string text = to_string(s);   // "[32,784]"
#pragma once

#include <cstdint>
#include <string>

#include "linnet/dtype.h"
#include "linnet/small_vector.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Dimension sizes, outermost first. Empty means a zero-dimensional tensor (one element).
using Shape = SmallVector<int64_t, 6>;
/// Distance in elements between neighbours along each dimension; 0 repeats, negative runs
/// backwards.
using Strides = SmallVector<int64_t, 6>;
/// Indices of dimensions. Public functions accept negative ones, counted from the end.
using Axes = SmallVector<int64_t, 6>;

/// Product of the dimension sizes; 1 for a zero-dimensional shape.
inline int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

/// Row-major strides of a dense tensor.
Strides dense_strides(std::span<const int64_t> shape);
/// Whether a layout is row-major without gaps. Strides of single elements, and of nothing, do not
/// matter.
bool is_dense(std::span<const int64_t> shape, std::span<const int64_t> strides);

/// `[32,784]`.
std::string to_string(std::span<const int64_t> values);
/// `f32[32,784]`.
std::string type_string(DType dtype, std::span<const int64_t> shape);

/// Resolves a possibly negative axis against `rank`.
/// @throws ShapeError naming `operation` if it is out of range.
int64_t normalize_axis(int64_t axis, size_t rank, const char* operation);
/// Resolves a list of axes; duplicates are an error. An empty list stays empty.
Axes normalize_axes(const Axes& axes, size_t rank, const char* operation);

}  // namespace linnet

#pragma GCC visibility pop
