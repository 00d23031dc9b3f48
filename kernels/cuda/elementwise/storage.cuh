// The numbers of types in memory (device/storage.h), as launches have them.
#pragma once

#include "kernels/cuda/device/storage.h"
#include "linnet/dtype.h"

namespace linnet::cuda {

template <class S>
inline constexpr DType kDTypeOf = dtype_of<S>();
template <>
inline constexpr DType kDTypeOf<Bool> = DType::kBool;
template <>
inline constexpr DType kDTypeOf<Half> = DType::kF16;
template <>
inline constexpr DType kDTypeOf<Bf16> = DType::kBF16;

}  // namespace linnet::cuda
