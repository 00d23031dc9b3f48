// Object multi-head attention.
//
//   nnx::MultiHeadAttention attention(8, 512, rngs);                       // heads, features
//   Tensor y = attention(x, {.mask = nnx::make_causal_mask(tokens)});      // f32[b, t, 512]
//   nnx::SelfAttention causal(512, 8, {.causal = true}, rngs);             // features, heads
#pragma once

#include <optional>

#include "linnet/layers/attention.h"
#include "linnet/nnx/layers_linear.h"
#include "linnet/nnx/layers_norm.h"

namespace linnet::nnx {

struct AttentionOptions {
  std::optional<int64_t> qkv_features = {};    ///< of all heads together; by default in_features
  std::optional<int64_t> out_features = {};    ///< by default in_features
  std::optional<int64_t> num_kv_heads = {};    ///< by default num_heads
  std::optional<int64_t> in_kv_features = {};  ///< by default in_features
  bool causal = false;                         ///< adds a causal mask
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool broadcast_dropout = true;
  double dropout_rate = 0;
  bool deterministic = false;
  ParamInit kernel_init = {};
  ParamInit out_kernel_init = {};  ///< by default kernel_init
  ParamInit bias_init = {};
  ParamInit out_bias_init = {};
  bool use_bias = true;
  bool normalize_qk = false;
  bool decode = false;
  bool keep_rngs = true;  ///< forks a stream for dropout at construction
};

/// What may differ from call to call.
struct AttentionCall {
  Tensor mask = {};  ///< broadcast to [batch..., heads, q_len, kv_len]; true where a query may look
  std::optional<bool> deterministic = {};
  Rngs* rngs = nullptr;      ///< whose stream `dropout` is used in place of the layer's own
  bool sow_weights = false;  ///< appends to `attention_weights`
  std::optional<bool> decode = {};
};

/// Projects queries, keys and values to heads, attends, and projects back (N-133 to N-137): query
/// [in, num_heads, dim], key and value [in_kv, num_kv_heads, dim], out [num_heads, dim, out]; with
/// normalize_qk also query_ln and key_ln.
class MultiHeadAttention {
 public:
  using Options = AttentionOptions;
  MultiHeadAttention(int64_t num_heads, int64_t in_features, Rngs& rngs);
  /// @throws ValueError unless num_heads divides qkv_features and num_kv_heads divides num_heads.
  MultiHeadAttention(int64_t num_heads, int64_t in_features, const Options& options, Rngs& rngs);

  /// Self attention: x [batch..., length, in] -> [batch..., length, out].
  /// @throws ValueError if the last dimension is not in_features.
  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) {
    return attend(x, x, x, call);
  }
  /// Keys and values from `k`.
  Tensor operator()(const Tensor& q, const Tensor& k, const AttentionCall& call = {}) {
    return attend(q, k, k, call);
  }
  Tensor operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                    const AttentionCall& call = {}) {
    return attend(q, k, v, call);
  }

  /// Allocates the cache for inputs [batch..., max_length, in]; decoding starts at position 0.
  void init_cache(const Shape& input_shape, DType cache_dtype = DType::kF32);

  LinearGeneral query, key, value;
  std::optional<LayerNorm> query_ln, key_ln;
  LinearGeneral out;
  std::optional<RngStream> rngs;
  std::optional<Cache> cached_key, cached_value, cache_index;
  std::optional<Intermediate> attention_weights;  ///< one per call with sow_weights
  int64_t num_heads, num_kv_heads, in_features;
  double dropout_rate;
  bool causal, broadcast_dropout, deterministic, decode;

  LINNET_FIELDS(query, key, value, query_ln, key_ln, out, rngs, cached_key, cached_value,
                cache_index, attention_weights, num_heads, num_kv_heads, in_features, dropout_rate,
                causal, broadcast_dropout, deterministic, decode)

 private:
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call);
  void decode_into_cache(const Tensor& q, Tensor& k, Tensor& v, Tensor& mask);
};

/// Attention of a sequence to itself, with the features first.
class SelfAttention : public MultiHeadAttention {
 public:
  SelfAttention(int64_t features, int64_t num_heads, Rngs& rngs)
      : MultiHeadAttention(num_heads, features, rngs) {}
  SelfAttention(int64_t features, int64_t num_heads, const Options& options, Rngs& rngs)
      : MultiHeadAttention(num_heads, features, options, rngs) {}

  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) {
    return MultiHeadAttention::operator()(x, call);
  }
};

}  // namespace linnet::nnx
