// The implementation lists of the CUDA back end on the bare machine: plans and kernels of own
// families without a driver, in every order of threads, against the CPU.
//
//   expect_as_on_cpu(cumsum_primitive(), CumulativeParams{{0}, false}, {x});
#pragma once

#include "linnet/core.h"
#include "linnet/kernel.h"
#include "linnet/primitive.h"

namespace linnet::cuda {

/// Results of the first implementation that accepts; memory around them is checked.
/// @throws DeviceError if none does, or if a kernel makes a mistake.
TensorList on_machine(KernelTable& table, const Primitive& primitive, ParamsRef params,
                      const TensorList& inputs, const TypeList& outputs);

/// Under all four schedules; the results of all have to be the same bits. Values may differ from
/// the CPU's by `tolerance` of max(1, |expected|); 0 means not at all.
void expect_as_on_cpu(KernelTable& table, const Primitive& primitive, ParamsRef params,
                      const TensorList& inputs, double tolerance = 0);

/// Numbers from -9 to 9 (0 to 9 of unsigned types) with many ties, no two neighbours alike; of
/// floats, quarters, and a NaN in every 37th place if `nan`.
Tensor test_numbers(DType dtype, const Shape& shape, bool nan = false);
/// The same numbers as a view of a larger tensor, at an odd offset: not aligned.
Tensor misaligned(const Tensor& x);

inline constexpr DType kAllDTypes[] = {
    DType::kBool, DType::kI8,  DType::kI16,  DType::kI32, DType::kI64, DType::kU8, DType::kU16,
    DType::kU32,  DType::kU64, DType::kBF16, DType::kF16, DType::kF32, DType::kF64};

}  // namespace linnet::cuda
