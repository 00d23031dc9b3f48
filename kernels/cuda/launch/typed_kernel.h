// A kernel that there is once for each of some dtypes.
//
//   #define TYPED(name, dtype, T) {Function(#name, 256), DType::dtype},
//   const TypedKernel kUniform[] = {LINNET_RANDOM_UNIFORM_KERNELS(TYPED)};
//   sink.launch(function_for(kUniform, DType::kF32), {blocks}, args);
#pragma once

#include <algorithm>
#include <span>

#include "kernels/cuda/launch/function.h"
#include "linnet/dtype.h"

namespace linnet::cuda {

struct TypedKernel {
  Function function;
  DType dtype;
};

/// The one of `dtype`, which must be among them.
inline const Function& function_for(std::span<const TypedKernel> kernels, DType dtype) {
  return std::ranges::find(kernels, dtype, &TypedKernel::dtype)->function;
}

}  // namespace linnet::cuda
