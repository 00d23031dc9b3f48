// Scaled dot-product attention by blocks (Dao, FlashAttention-2, arXiv:2307.08691), f32, f16, bf16.
//
//   AttentionProblem p{.dtype = DType::kF32, .batch = 2, .q_len = 64, .kv_len = 64, .heads = 4,
//                      .kv_heads = 4, .dim = 32, .v_dim = 32, .scale = 0.17f, .causal = true};
//   attention(p, {q, k, v, nullptr}, y, lse, workspace);       // attention_workspace(p) bytes
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// The number that takes the place of a masked score, as in the composite.
constexpr float kMaskedScore = -0.7f * 3.40282347e38f;

/// q [batch, q_len, heads, dim], k [batch, kv_len, kv_heads, dim], v [batch, kv_len, kv_heads,
/// v_dim]; heads is a multiple of kv_heads, whose heads serve neighbouring ones of q. No size is 0.
struct AttentionProblem {
  DType dtype = DType::kF32;
  int64_t batch = 1, q_len = 0, kv_len = 0, heads = 1, kv_heads = 1, dim = 0, v_dim = 0;
  float scale = 1;
  bool causal = false;  ///< query i looks at keys up to i
  bool has_mask = false;
  std::array<int64_t, 4> mask_strides{};  ///< [batch, heads, q_len, kv_len], 0 where repeated
};

/// Elements of the problem's dtype, strides in elements.
struct AttentionOperand {
  const void* data = nullptr;
  std::array<int64_t, 4> strides{};  ///< [batch, length, heads, dim]
};

/// One f32 for each query of a head.
struct AttentionRows {
  const float* data = nullptr;
  std::array<int64_t, 3> strides{};  ///< [batch, heads, q_len]
};

struct AttentionInputs {
  AttentionOperand q, k, v;
  const uint8_t* mask = nullptr;  ///< bool: where a query may look
};

/// Dense y [batch, q_len, heads, v_dim] = softmax(scale q k^T, masked) v, and dense lse [batch,
/// heads, q_len], the log-sum-exp of the masked scores. A masked score is a large negative number,
/// so a query that may look nowhere looks everywhere alike.
void attention(const AttentionProblem& problem, const AttentionInputs& in, void* y, float* lse,
               void* workspace);
/// Bytes of its workspace, aligned to 64.
size_t attention_workspace(const AttentionProblem& problem);

/// What the gradient reads besides the operands. `dlse` may have no data.
struct AttentionGradient {
  AttentionOperand y, dy;
  AttentionRows lse, dlse;
};

/// Dense dq, dk, dv with the shapes of q, k, v. With weights P of a row: dP = dy v^T and dscores =
/// P (dP - dy y + dlse), 0 where masked.
void attention_backward(const AttentionProblem& problem, const AttentionInputs& in,
                        const AttentionGradient& gradient, void* dq, void* dk, void* dv,
                        void* workspace);
/// Bytes of its workspace, aligned to 64.
size_t attention_backward_workspace(const AttentionProblem& problem);

}  // namespace linnet::cpu
