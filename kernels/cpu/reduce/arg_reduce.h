// Positions of the greatest or least element along an axis.
//
//   float x[] = {3, 9, 9};  int32_t at;
//   cpu::arg_reduce(ArgReduceKind::kMax, DType::kF32, x, Shape{3}, Strides{1}, 0, DType::kI32,
//                   &at);  // at is 1
#pragma once

#include <cstdint>
#include <span>

#include "linnet/dtype.h"

namespace linnet::cpu {

enum class ArgReduceKind : uint8_t { kMax, kMin };

/// Writes, for every position of the other axes (dense, in order), the index along `axis` of the
/// extreme element. The first of equal elements wins; a NaN beats every number and the first NaN
/// wins, as in NumPy. `index_dtype` is i32 or i64.
/// @throws ShapeError if the axis has no elements; DTypeError for another index type.
void arg_reduce(ArgReduceKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
                std::span<const int64_t> strides, int64_t axis, DType index_dtype, void* out);

}  // namespace linnet::cpu
