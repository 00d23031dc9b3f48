// Kernels of elementwise functions and conversions for one request: which of the embedded kernels,
// in packs or element by element.
#pragma once

#include <memory>
#include <string>

#include "core/ops/scalar_functions.h"
#include "kernels/cuda/elementwise/pointwise_args.h"
#include "linnet/kernel.h"

namespace linnet::cuda {

/// `op` on operands of any strides; types are those of the last operand.
/// Null, and the reason, if no kernel takes the request.
std::unique_ptr<Kernel> make_pointwise(ScalarOp op, double parameter, const KernelRequest& request,
                                       std::string& reason);

/// Operand 0 in the result's type, which is another one.
std::unique_ptr<Kernel> make_cast(const KernelRequest& request, std::string& reason);

}  // namespace linnet::cuda
