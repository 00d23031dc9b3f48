// Stable sorting along the last axis of a dense [rows, length] array.
//
//   float x[] = {2, NAN, 1};  int32_t order[3];
//   cpu::argsort(DType::kF32, 1, 3, x, false, DType::kI32, order, workspace);  // 2, 0, 1
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// Sorts every row. Ascending: NaN last. Descending: the greatest first, NaN before it. Equal
/// elements (-0 and +0 are equal, all NaN are equal) keep their order in both directions.
/// @param workspace of `sort_workspace` bytes, as in the other functions.
void sort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending, void* out,
          void* workspace);
size_t sort_workspace(DType dtype, int64_t rows, int64_t length);

/// Positions that would sort every row; `index_dtype` is i32, i64 or u32.
/// @throws DTypeError for another index type.
void argsort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending,
             DType index_dtype, void* out, void* workspace);

}  // namespace linnet::cpu
