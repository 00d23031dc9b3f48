// Stable sorting along the last axis of a dense [rows, length] array.
//
//   float x[] = {2, NAN, 1};  int32_t order[3];
//   cpu::argsort(DType::kF32, 1, 3, x, false, DType::kI32, order);  // 2, 0, 1
#pragma once

#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// Sorts every row. Ascending: NaN last. Descending: the greatest first, NaN before it. Equal
/// elements
/// (-0 and +0 are equal, all NaN are equal) keep their order in both directions.
/// @param workspace of `sort_workspace` bytes, as in the other functions.
void sort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending, void* out,
          void* workspace);
size_t sort_workspace(DType dtype, int64_t rows, int64_t length);

/// Positions that would sort every row; `index_dtype` is i32, i64 or u32.
/// @throws DTypeError for another index type.
void argsort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending,
             DType index_dtype, void* out, void* workspace);

/// The `count` greatest elements of every row in descending order with their positions: values
/// [rows, count], indices [rows, count]. NaN counts as greatest; ties go to the lower index.
/// @throws ShapeError if count > length; DTypeError for an index type other than i32 or i64.
void top_k(DType dtype, int64_t rows, int64_t length, int64_t count, const void* data, void* values,
           DType index_dtype, void* indices);

/// Fills `order[0..count)` with the stable ascending order of the keys: the shuffle of a
/// permutation. count < 2^32.
void stable_order(const uint32_t* keys, int64_t count, uint32_t* order);

}  // namespace linnet::cpu
