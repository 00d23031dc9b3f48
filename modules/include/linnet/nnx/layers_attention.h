// Object multi-head attention. Its options are described in layers/config_attention.h.
//
//   nnx::MultiHeadAttention attention(8, 512, rngs);                       // heads, features
//   Tensor y = attention(x, {.mask = nnx::make_causal_mask(tokens)});      // f32[b, t, 512]
//   nnx::SelfAttention causal(512, 8, {.causal = true}, rngs);             // features, heads
#pragma once

#include <optional>

#include "linnet/layers/config_attention.h"
#include "linnet/nnx/layers_linear.h"
#include "linnet/nnx/layers_norm.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using AttentionOptions = layers::Attention<Api, layers::AttentionName::kMultiHeadAttention>;

class Attributes;

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
/// normalize_qk also query_ln and key_ln. A const layer attends without writing: no decoding, no
/// kept weights, and no dropout from the layer's own stream.
class MultiHeadAttention : public AttentionOptions {
 public:
  using Options = AttentionOptions;
  MultiHeadAttention(int64_t num_heads, int64_t in_features, RngsRef rngs)
      : MultiHeadAttention(num_heads, in_features, {}, rngs) {}
  /// @throws ValueError unless num_heads divides qkv_features and num_kv_heads divides num_heads.
  MultiHeadAttention(int64_t num_heads, int64_t in_features, const Options& options, RngsRef rngs);

  /// Self attention: x [batch..., length, in] -> [batch..., length, out].
  /// @throws ValueError if the last dimension is not in_features; ModuleError if the layer is const
  /// and the call would write.
  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) {
    return attend(this, x, x, x, call);
  }
  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) const {
    return attend(nullptr, x, x, x, call);
  }
  /// Keys and values from `k`.
  Tensor operator()(const Tensor& q, const Tensor& k, const AttentionCall& call = {}) {
    return attend(this, q, k, k, call);
  }
  Tensor operator()(const Tensor& q, const Tensor& k, const AttentionCall& call = {}) const {
    return attend(nullptr, q, k, k, call);
  }
  Tensor operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                    const AttentionCall& call = {}) {
    return attend(this, q, k, v, call);
  }
  Tensor operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                    const AttentionCall& call = {}) const {
    return attend(nullptr, q, k, v, call);
  }

  /// Allocates the cache for inputs [batch..., max_length, in]; decoding starts at position 0.
  void init_cache(const Shape& input_shape, DType cache_dtype = DType::kF32);

  /// Of nnx::view: with `decode`, `batch_size` and `max_length` allocate a cache.
  /// @throws ValueError if one of the two is missing.
  void set_view(Attributes& attributes);

  LinearGeneral query, key, value;
  std::optional<LayerNorm> query_ln, key_ln;
  LinearGeneral out;
  std::optional<RngStream> rngs;
  std::optional<Cache> cached_key, cached_value, cache_index;
  std::optional<Intermediate> attention_weights;  ///< one per call with sow_weights
  int64_t num_heads, in_features;

  LINNET_FIELDS_AND_BASE(Options, query, key, value, query_ln, key_ln, out, rngs, cached_key,
                         cached_value, cache_index, attention_weights, num_heads, in_features)

 private:
  /// `writable` is this layer, or null if it is const.
  Tensor attend(MultiHeadAttention* writable, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionCall& call) const;
  void decode_into_cache(const Tensor& q, Tensor& k, Tensor& v, Tensor& mask);
};

/// Attention of a sequence to itself, with the features first.
class SelfAttention : public MultiHeadAttention {
 public:
  SelfAttention(int64_t features, int64_t num_heads, RngsRef rngs)
      : MultiHeadAttention(num_heads, features, rngs) {}
  SelfAttention(int64_t features, int64_t num_heads, const Options& options, RngsRef rngs)
      : MultiHeadAttention(num_heads, features, options, rngs) {}

  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) {
    return MultiHeadAttention::operator()(x, call);
  }
  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) const {
    return MultiHeadAttention::operator()(x, call);
  }
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
