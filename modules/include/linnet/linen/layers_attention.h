// Functional multi-head attention.
//
//   Tensor h = s("attn", linen::SelfAttention{.heads = 8, .causal = true}, x);
//   Tensor y = s("cross", linen::MultiHeadDotProductAttention{.heads = 8}, x, memory, memory,
//                linen::AttentionCall{.mask = mask});
#pragma once

#include <optional>

#include "linnet/layers/attention.h"
#include "linnet/linen/layers_init.h"

namespace linnet::linen {

/// What may differ from call to call.
struct AttentionCall {
  Tensor mask = {};  ///< broadcast to [batch..., heads, q_len, kv_len]; true where a query may look
  std::optional<bool> deterministic = {};
  std::optional<Key> dropout_key = {};  ///< in place of the stream `dropout`
  bool sow_weights = false;             ///< keeps `attention_weights` in `intermediates`
};

/// The names under which one layer is known.
enum class AttentionName { kMultiHeadDotProductAttention, kMultiHeadAttention, kSelfAttention };

/// Projects queries, keys and values to `heads` heads, attends, and projects back (L-139 to L-143).
/// Submodules query, key, value (DenseGeneral, kernels [in, heads, dim]), out (kernel [heads, dim,
/// out]), with normalize_qk also query_ln and key_ln.
template <AttentionName kName>
struct BasicAttention {
  static constexpr const char* kClassName = kName == AttentionName::kSelfAttention ? "SelfAttention"
                                            : kName == AttentionName::kMultiHeadAttention
                                                ? "MultiHeadAttention"
                                                : "MultiHeadDotProductAttention";

  int64_t heads = 1;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  std::optional<int64_t> qkv_features =
      {};  ///< of all heads together; by default those of the queries
  std::optional<int64_t> out_features = {};  ///< by default those of the queries
  bool causal = false;                       ///< adds a causal mask
  bool broadcast_dropout = true;
  double dropout_rate = 0;
  std::optional<bool> deterministic =
      {};  ///< needed once, here or in the call, if dropout_rate > 0
  ParamInit kernel_init = {};
  ParamInit out_kernel_init = {};  ///< by default kernel_init
  ParamInit bias_init = {};
  ParamInit out_bias_init = {};
  bool use_bias = true;
  bool normalize_qk = false;
  /// One position per call, with keys and values in the collection `cache`, which the init call
  /// allocates for the length of its input.
  bool decode = false;

  /// Self attention: x [batch..., length, features] -> [batch..., length, out].
  Tensor operator()(Scope& s, const Tensor& x, const AttentionCall& call = {}) const;
  /// Keys and values from `k`.
  Tensor operator()(Scope& s, const Tensor& q, const Tensor& k,
                    const AttentionCall& call = {}) const
    requires(kName != AttentionName::kSelfAttention)
  {
    return attend(s, q, k, k, call);
  }
  /// @throws ValueError if heads do not divide qkv_features, or v is given without k.
  Tensor operator()(Scope& s, const Tensor& q, const Tensor& k, const Tensor& v,
                    const AttentionCall& call = {}) const
    requires(kName != AttentionName::kSelfAttention)
  {
    return attend(s, q, k, v, call);
  }

  Tensor attend(Scope& s, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionCall& call) const;
};

using MultiHeadDotProductAttention = BasicAttention<AttentionName::kMultiHeadDotProductAttention>;
using MultiHeadAttention = BasicAttention<AttentionName::kMultiHeadAttention>;
using SelfAttention = BasicAttention<AttentionName::kSelfAttention>;

extern template struct BasicAttention<AttentionName::kMultiHeadDotProductAttention>;
extern template struct BasicAttention<AttentionName::kMultiHeadAttention>;
extern template struct BasicAttention<AttentionName::kSelfAttention>;

}  // namespace linnet::linen
