// Attention, forward and backward, as cuDNN graphs: scores are never written to memory.
#pragma once

#include "core/ops/nn.h"
#include "kernels/cuda/cudnn/graph_kernel.h"

namespace linnet::cuda::cudnn {

/// Empty, or why cuDNN is not even asked. Operands are those of the primitives (core/ops/nn.h).
std::string decline_attention(const KernelRequest& request);
std::string decline_attention_backward(const KernelRequest& request);

std::unique_ptr<Kernel> prepare_attention(const KernelRequest& request, std::string& reason);
std::unique_ptr<Kernel> prepare_attention_backward(const KernelRequest& request,
                                                   std::string& reason);

}  // namespace linnet::cuda::cudnn
