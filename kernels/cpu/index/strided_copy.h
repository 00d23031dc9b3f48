// Copies between strided tensors of the same shape, and what is built on them: slices at run-time
// offsets, padding, concatenation.
//
//   cpu::dynamic_slice(DType::kF32, x, Shape{4, 4}, Strides{4, 1}, starts, Shape{2, 2}, out);
#pragma once

#include <cstdint>
#include <span>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// to[i...] = from[i...] for every position of `shape`. Strides are in elements of `element_size`
/// bytes (1, 2, 4 or 8); regions must not overlap.
void strided_copy(size_t element_size, std::span<const int64_t> shape, const void* from,
                  std::span<const int64_t> from_strides, void* to,
                  std::span<const int64_t> to_strides);

/// Sets every position of a strided tensor to the element at `value`.
void strided_fill(size_t element_size, std::span<const int64_t> shape, const void* value, void* to,
                  std::span<const int64_t> to_strides);

/// Dense out [sizes...] = the block of `data` that begins at `starts`, moved so that it lies
/// inside.
/// @throws ShapeError if sizes exceed the shape.
void dynamic_slice(DType dtype, const void* data, std::span<const int64_t> shape,
                   std::span<const int64_t> strides, std::span<const int64_t> starts,
                   std::span<const int64_t> sizes, void* out);

/// Writes `update` into the dense tensor `out` of `shape` at `starts`, moved so that it lies
/// inside.
/// @throws ShapeError if the update is larger than the tensor.
void dynamic_update_slice(DType dtype, void* out, std::span<const int64_t> shape,
                          const void* update, std::span<const int64_t> update_shape,
                          std::span<const int64_t> update_strides, std::span<const int64_t> starts);

/// Padding of one dimension: `low` and `high` elements at the ends (negative ones cut), `interior`
/// between neighbours.
struct PadDimension {
  int64_t low = 0;
  int64_t high = 0;
  int64_t interior = 0;
};

/// Dense out = `data` with the element at `value` put around and between its elements. The size of
/// a dimension becomes low + n + max(n - 1, 0) interior + high.
void pad(DType dtype, const void* data, std::span<const int64_t> shape,
         std::span<const int64_t> strides, std::span<const PadDimension> padding, const void* value,
         void* out);

/// Copies one part of a concatenation into the dense result of `out_shape`, at `offset` along
/// `axis`. Its shape is out_shape with `size` in place of the axis.
void concatenate_part(DType dtype, const void* part, std::span<const int64_t> part_strides,
                      int64_t size, std::span<const int64_t> out_shape, int64_t axis,
                      int64_t offset, void* out);

/// Dense out [shape...] = position along `axis`, converted to the dtype.
void iota(DType dtype, std::span<const int64_t> shape, int64_t axis, void* out);

}  // namespace linnet::cpu
