// Functional multi-head attention. Its settings and parameters are described in
// layers/config_attention.h.
//
//   Tensor h = s("attn", linen::SelfAttention{.heads = 8, .causal = true}, x);
//   Tensor y = s("cross", linen::MultiHeadDotProductAttention{.heads = 8}, x, memory, memory,
//                linen::AttentionCall{.mask = mask});
#pragma once

#include <optional>

#include "linnet/layers/config_attention.h"
#include "linnet/linen/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// What may differ from call to call.
struct AttentionCall {
  Tensor mask = {};  ///< broadcast to [batch..., heads, q_len, kv_len]; true where a query may look
  std::optional<bool> deterministic = {};
  std::optional<Key> dropout_key = {};  ///< in place of the stream `dropout`
  bool sow_weights = false;             ///< keeps `attention_weights` in `intermediates`
};

using layers::AttentionName;
template <AttentionName kName>
using BasicAttention = layers::Attention<Api, kName>;
using MultiHeadDotProductAttention = BasicAttention<AttentionName::kMultiHeadDotProductAttention>;
using MultiHeadAttention = BasicAttention<AttentionName::kMultiHeadAttention>;
using SelfAttention = BasicAttention<AttentionName::kSelfAttention>;

}  // namespace linnet::linen

namespace linnet::layers {
extern template struct Attention<linen::Api, AttentionName::kMultiHeadDotProductAttention>;
extern template struct Attention<linen::Api, AttentionName::kMultiHeadAttention>;
extern template struct Attention<linen::Api, AttentionName::kSelfAttention>;
}  // namespace linnet::layers

#pragma GCC visibility pop
