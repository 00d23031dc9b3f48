// Private: activations after a product or convolution of the library.
//
// oneDNN's own are not used: they turn NaN into 0 (relu) and lose all relative accuracy in the
// tails (gelu, silu), where a program would then differ from the same operations run one by one.
#pragma once

#include <memory>

#include "core/ops/scalar_functions.h"
#include "kernels/cpu/onednn/prepared.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu::onednn {

/// out = activation(out) + residual, over the result of a kernel.
struct ElementwiseEpilogue {
  ScalarOp activation;
  bool has_residual;
  DType dtype;
  Shape shape;
  Strides strides;  ///< of the result and of the residual, in elements
};

/// `product`, followed by the epilogue in place. The residual, if any, is the last input.
std::unique_ptr<Prepared> with_epilogue(std::unique_ptr<Prepared> product,
                                        ElementwiseEpilogue epilogue);

}  // namespace linnet::cpu::onednn
