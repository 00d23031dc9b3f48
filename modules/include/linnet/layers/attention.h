// Attention over [batch..., length, heads, dim], and masks for it.
//
//   Tensor mask = layers::make_causal_mask(tokens);                        // f32[b, 1, t, t]
//   Tensor y = layers::dot_product_attention(q, k, v, {.mask = mask});     // like q
//
// A mask is true (or not zero) where a query may look at a key. The same functions are in both
// module APIs.
#pragma once

#include <functional>

#include "linnet/ops.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

struct AttentionSettings {
  Tensor bias = {};  ///< added to the scores; broadcast to [batch..., heads, q_len, kv_len]
  Tensor mask = {};  ///< broadcast likewise
  bool causal = false;
  double dropout_rate = 0;  ///< of the weights
  /// One decision for all batches and heads; otherwise one for each weight.
  bool broadcast_dropout = true;
  bool deterministic = false;
  /// Called once if numbers are drawn.
  std::function<Key()> dropout_key = {};
  /// Receives the weights [batch..., heads, q_len, kv_len] before dropout.
  std::function<void(const Tensor&)> on_weights = {};
};

/// softmax(q · k / sqrt(dim) + bias, masked) · v. q [batch..., q_len, heads, dim], k and v
/// [batch..., kv_len, kv_heads, dim]; heads is a multiple of kv_heads. Softmax in f32 at least
/// (L-137, N-135).
/// @throws ShapeError or DTypeError if the operands do not fit, ModuleError if a key is needed and
/// there is none.
Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionSettings& settings = {});

/// `pairwise` of queries [batch..., q_len] and keys [batch..., kv_len], by default their product:
/// [batch..., 1, q_len, kv_len] with `extra_batch_dims` dimensions in front (L-144).
Tensor make_attention_mask(const Tensor& queries, const Tensor& keys,
                           const std::function<Tensor(const Tensor&, const Tensor&)>& pairwise = {},
                           int64_t extra_batch_dims = 0, DType dtype = DType::kF32);
/// Each position sees itself and what is before it: x [batch..., length] -> [batch..., 1, length,
/// length]. Only the shape of x matters.
Tensor make_causal_mask(const Tensor& x, int64_t extra_batch_dims = 0, DType dtype = DType::kF32);
/// Logical and of the defined masks; undefined if there is none.
/// @throws ValueError if their ranks differ.
Tensor combine_masks(const TensorList& masks, DType dtype = DType::kF32);

}  // namespace linnet::layers

namespace linnet::linen {
using layers::combine_masks;
using layers::dot_product_attention;
using layers::make_attention_mask;
using layers::make_causal_mask;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::combine_masks;
using layers::dot_product_attention;
using layers::make_attention_mask;
using layers::make_causal_mask;
}  // namespace linnet::nnx

#pragma GCC visibility pop
