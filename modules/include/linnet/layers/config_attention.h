// Settings of multi-head attention layers.
//
//   linen::SelfAttention{.heads = 8, .causal = true}
//   nnx::SelfAttention(512, 8, {.causal = true}, rngs)
#pragma once

#include <optional>

#include "linnet/layers/attention.h"
#include "linnet/layers/config.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// The names under which one layer is known.
enum class AttentionName { kMultiHeadDotProductAttention, kMultiHeadAttention, kSelfAttention };

/// Projects queries, keys and values to heads, attends, and projects back (L-139 to L-143, N-133 to
/// N-137). Submodules query, key, value (kernels [in, heads, dim]), out (kernel [heads, dim, out]),
/// with normalize_qk also query_ln and key_ln.
template <class Api, AttentionName kName>
struct Attention {
  static constexpr const char* kClassName = kName == AttentionName::kSelfAttention ? "SelfAttention"
                                            : kName == AttentionName::kMultiHeadAttention
                                                ? "MultiHeadAttention"
                                                : "MultiHeadDotProductAttention";

  FunctionalOnly<Api, int64_t> heads{1};
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  /// Of all heads together; by default the features of the queries.
  std::optional<int64_t> qkv_features = {};
  std::optional<int64_t> out_features = {};                  ///< by default those of the queries
  ObjectOnly<Api, std::optional<int64_t>> num_kv_heads{};    ///< by default num_heads
  ObjectOnly<Api, std::optional<int64_t>> in_kv_features{};  ///< by default in_features
  bool causal = false;                                       ///< adds a causal mask
  bool broadcast_dropout = true;
  double dropout_rate = 0;
  /// Of dropout; in the functional API needed once, here or in the call, if dropout_rate > 0.
  typename Api::Mode deterministic = {};
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit out_kernel_init = {};  ///< by default kernel_init
  typename Api::ParamInit bias_init = {};
  typename Api::ParamInit out_bias_init = {};  ///< by default bias_init
  bool use_bias = true;
  bool normalize_qk = false;
  /// One position per call, with keys and values in a cache: the collection `cache`, which the init
  /// call allocates for the length of its input, or variables that init_cache allocates.
  bool decode = false;
  ObjectOnly<Api, bool> keep_rngs{true};  ///< forks a stream for dropout at construction

  LINNET_FIELDS(heads, dtype, param_dtype, qkv_features, out_features, num_kv_heads, in_kv_features,
                causal, broadcast_dropout, dropout_rate, deterministic, kernel_init,
                out_kernel_init, bias_init, out_bias_init, use_bias, normalize_qk, decode,
                keep_rngs)

  /// Self attention: x [batch..., length, features] -> [batch..., length, out].
  Tensor operator()(typename Api::Scope& s, const Tensor& x,
                    const typename Api::AttentionCall& call = {}) const
    requires(Api::kFunctional)
  {
    return attend(s, x, x, x, call);
  }
  /// Keys and values from `k`.
  Tensor operator()(typename Api::Scope& s, const Tensor& q, const Tensor& k,
                    const typename Api::AttentionCall& call = {}) const
    requires(Api::kFunctional && kName != AttentionName::kSelfAttention)
  {
    return attend(s, q, k, k, call);
  }
  /// @throws ValueError if heads do not divide qkv_features, or v is given without k.
  Tensor operator()(typename Api::Scope& s, const Tensor& q, const Tensor& k, const Tensor& v,
                    const typename Api::AttentionCall& call = {}) const
    requires(Api::kFunctional && kName != AttentionName::kSelfAttention)
  {
    return attend(s, q, k, v, call);
  }

  Tensor attend(typename Api::Scope& s, const Tensor& q, const Tensor& k, const Tensor& v,
                const typename Api::AttentionCall& call) const
    requires(Api::kFunctional);
};

}  // namespace linnet::layers

#pragma GCC visibility pop
