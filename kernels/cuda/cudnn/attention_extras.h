// What cuDNN's attention does not know, made by kernels around its graph: boolean masks, dropout by
// keys, and queries that may look at no key.
#pragma once

#include <string>

#include "core/ops/nn.h"
#include "kernels/cuda/cudnn/made_operands.h"

namespace linnet::cuda::cudnn {

/// Places of operands of the scores among those of the primitives (core/ops/nn.h).
struct ScoresOperands {
  static constexpr size_t kNowhere = SIZE_MAX;
  size_t bias = kNowhere, mask = kNowhere, keys = kNowhere;
  /// @param first the place behind the operands that are always there.
  ScoresOperands(const AttentionParams& p, size_t first);
};

/// Why dropout by these keys cannot be given to a graph as factors; empty if it can.
std::string decline_dropout(const AttentionParams& p, const KernelRequest& request,
                            const ScoresOperands& operands);

/// Mask and bias as one bias, [batch or 1, heads or 1, q_len or 1, kv_len], in a type that hides
/// scores of the operands' type.
size_t add_masked_bias(MadeOperands& made, const KernelRequest& request,
                       const ScoresOperands& operands);

/// Factors of the weights, 1 or 0: [batch or 1, heads or 1, q_len, kv_len].
size_t add_dropout_factors(MadeOperands& made, const KernelRequest& request,
                           const AttentionParams& p, const ScoresOperands& operands);

/// The log-sum-exp at place 4, with zero for rows that may look nowhere: their weights become zero.
size_t add_visible_rows(MadeOperands& made, const KernelRequest& request);

/// What such rows mean, put into results and gradients behind the graph.
/// @param request with what was made; `factors`: the place of those of dropout, or `kNowhere`.
Emit empty_rows(const KernelRequest& request, const AttentionParams& p, size_t factors);
Emit empty_rows_backward(const KernelRequest& request, const AttentionParams& p, size_t factors);

}  // namespace linnet::cuda::cudnn
