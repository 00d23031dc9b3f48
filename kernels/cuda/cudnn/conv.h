// Convolutions as cuDNN graphs: images are channels-last as they are, filters are transposed on the
// way, dilated inputs turned into strides of the transpose or written out.
#pragma once

#include "core/ops/fused.h"
#include "kernels/cuda/cudnn/graph_kernel.h"

namespace linnet::cuda::cudnn {

/// A convolution, or the gradient of one of its operands, and what follows in the same kernel:
/// activation(y + bias) + residual. The places of the three tensors among the operands are those of
/// the primitives (core/ops/conv.h).
struct ConvRequest {
  const KernelRequest& request;
  const ConvParams& params;
  Convolution::Wanted wanted = Convolution::Wanted::kResult;
  bool has_bias = false, has_residual = false;
  Activation activation = {};
  /// Of a gradient of x: dx + operand 2; and of that, where operand 3 is positive, else 0.
  bool adds = false, masks = false;
  /// Of a result, which is f16 or bf16: the sums and the sums of squares of its channels, in f32,
  /// are results 1 and 2. The elements' own rounding moves a variance by more than the sums' does.
  bool sums = false;
};

/// Empty, or why cuDNN is not even asked.
std::string decline_conv(const ConvRequest& r);
std::unique_ptr<Kernel> prepare_conv(const ConvRequest& r, std::string& reason);

}  // namespace linnet::cuda::cudnn
