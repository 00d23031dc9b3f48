// Elementwise functions, conversions, copies and fills on raw strided memory.
//
//   const int64_t shape[] = {64, 128}, dense[] = {128, 1}, row[] = {0, 1};
//   elementwise(ScalarOp::kAdd, DType::kF32, {}, shape, {{{x, dense}, {bias, row}}}, {y, dense});
//
// Results do not depend on strides, on the number of threads, or on where in an array an element
// is. A destination may be exactly the memory of an operand of the same element size; other
// overlaps are not allowed. Shapes may be empty or zero-dimensional. Strides are in elements, one
// per dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/ops/scalar_functions.h"
#include "kernels/cpu/elementwise/loop_table.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// Memory that is read. `data` is the element at index zero in every dimension; a stride of 0
/// repeats an element, a negative one runs backwards.
struct Operand {
  const void* data;
  const int64_t* strides;
};

/// Memory that is written. No two indices may share an element.
struct Destination {
  void* data;
  const int64_t* strides;
};

/// Applies a scalar function to every element. All value operands have type `dtype`, and so has the
/// result, except that comparisons and is_* write bool and the first operand of `select` is bool.
/// f16 and bf16 are computed in f32 and rounded once.
/// @throws DTypeError if the function does not take `dtype`.
/// @throws ValueError if the number of operands or parameters is wrong.
void elementwise(ScalarOp op, DType dtype, std::span<const double> params,
                 std::span<const int64_t> shape, std::span<const Operand> in,
                 const Destination& out);

/// What elementwise() comes to for a few neighbours and repeated elements in the format of the
/// loop: one call, in which addresses and parameters are missing.
struct OneLoop {
  ElementwiseLoop loop = nullptr;
  LoopCall call = {};
};

/// The loop, if it is all that elementwise() would do for operands and a result of these strides.
/// @throws DTypeError if the function does not take `dtype`.
std::optional<OneLoop> one_loop(ScalarOp op, DType dtype, std::span<const int64_t> shape,
                                std::span<const int64_t* const> in, const int64_t* out);

/// Whether elementwise() takes this combination.
bool supports(ScalarOp op, DType dtype);

/// Converts every element. float to integer truncates, saturates, and maps NaN to 0; to bool is
/// "not zero"; integers wrap; to a shorter float rounds to nearest even, once.
void cast(DType from, DType to, std::span<const int64_t> shape, const Operand& in,
          const Destination& out);

/// Copies elements of 1, 2, 4, 8 or 16 bytes.
void copy_strided(size_t element_size, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out);

/// Sets every element to `value` converted to `dtype` as cast() would.
void fill(DType dtype, double value, std::span<const int64_t> shape, const Destination& out);
void fill(DType dtype, int64_t value, std::span<const int64_t> shape, const Destination& out);

}  // namespace linnet::cpu
