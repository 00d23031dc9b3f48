// The loops behind every elementwise function: one function pointer per function and element type,
// filled in once per process for the best instruction set of the machine.
#pragma once

#include <cstdint>

#include "core/ops/scalar_functions.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// Operands of one loop: dense arrays, or a single number that is used for every element. The
/// result may be the same array as an operand of the same element size.
struct LoopCall {
  const void* in[3] = {};
  bool repeat[3] = {};
  void* out = nullptr;
  int64_t count = 0;
  const double* params = nullptr;
};

using ElementwiseLoop = void (*)(const LoopCall&);

/// Entries are null where a function does not take a type.
struct ElementwiseTable {
  /// Float functions of the 16-bit types work on operands widened to f32 and leave f32, not yet
  /// rounded to 16 bits. Their selection works on the 16-bit words.
  ElementwiseLoop op[kScalarOpCount][kDTypeCount] = {};
  /// [from][to], in memory format.
  ElementwiseLoop cast[kDTypeCount][kDTypeCount] = {};
  /// Rounds f32 to the nearest f16 or bf16 and leaves it as f32. Indexed by type; null for others.
  ElementwiseLoop round[kDTypeCount] = {};
  /// Selection between f32 images of 16-bit numbers.
  ElementwiseLoop select_f32 = nullptr;

  void set(ScalarOp function, DType dtype, ElementwiseLoop kernel) {
    op[static_cast<int>(function)][static_cast<int>(dtype)] = kernel;
  }
  ElementwiseLoop get(ScalarOp function, DType dtype) const {
    return op[static_cast<int>(function)][static_cast<int>(dtype)];
  }
  ElementwiseLoop get_cast(DType from, DType to) const {
    return cast[static_cast<int>(from)][static_cast<int>(to)];
  }
};

/// The table of this machine.
const ElementwiseTable& elementwise_table();

/// Builds a table for the instruction set `HWY_AVX2` and so on; for tests of the ones not chosen.
ElementwiseTable make_elementwise_table(int64_t target);

// Parts of the table, one per source file.
void add_float32_kernels(ElementwiseTable& table);
void add_float64_kernels(ElementwiseTable& table);
void add_signed_kernels(ElementwiseTable& table);
void add_unsigned_kernels(ElementwiseTable& table);
void add_predicate_kernels(ElementwiseTable& table);
void add_cast_kernels(ElementwiseTable& table);
void add_half_kernels(ElementwiseTable& table);

}  // namespace linnet::cpu
