// How a reduction is launched: as rows or columns, in one pass or two.
//
//   std::optional<ReducePlan> plan = plan_reduction(x, axes_mask, Fold::kSum);
//   sink.launch(rows_or_columns, {plan->blocks, parts}, plan->first);
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cuda/reduce/reduce_args.h"
#include "linnet/kernel.h"

namespace linnet::cuda {

/// The arguments lack addresses.
struct ReducePlan {
  bool by_columns = false;
  uint32_t blocks = 0;  ///< by `first.parts`
  ReduceArgs first;
  /// Of the second pass, if first.parts > 1: rows of partial results.
  uint32_t second_blocks = 0;
  ReduceArgs second;
  size_t workspace_bytes = 0;
};

/// Reduces the axes of `axes_mask` (bit 0 is axis 0). None if the operand has too many dimensions.
/// The plan, and with it the order of operations, depends on the view alone.
std::optional<ReducePlan> plan_reduction(const OperandView& x, uint64_t axes_mask, Fold kind);

/// What a kernel does for a fold of `dtype`. A bool is a number that is 0 or 1: "or" is its
/// maximum, "and" its product.
Fold fold_of(DType dtype, Fold kind);

/// Type of partial results.
DType accumulator_dtype(DType dtype);

}  // namespace linnet::cuda
