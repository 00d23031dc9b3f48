#include "linnet/linen/layers_attention.h"

#include "linnet/detail/format.h"
#include "linnet/layers/merge_param.h"
#include "linnet/linen/layers_linear.h"
#include "linnet/linen/layers_norm.h"
#include "modules/layers/attention.h"

namespace linnet::layers {
namespace {

/// Writes one position to the collection `cache`; the init call only allocates it.
void decode_into_cache(linen::Scope& s, const char* layer, const Tensor& q, Tensor& k, Tensor& v,
                       Tensor& mask) {
  const bool allocated = s.has_variable("cache", "cached_key");
  const linen::ScopeVariable key = s.variable("cache", "cached_key", [&] { return zeros_like(k); });
  const linen::ScopeVariable value =
      s.variable("cache", "cached_value", [&] { return zeros_like(v); });
  const linen::ScopeVariable index =
      s.variable("cache", "cache_index", [] { return scalar_integer(0, DType::kI32); });
  if (!allocated) return;
  const DecodeStep step =
      decode_step(layer, {key.value(), value.value(), index.value()}, q, k, v, mask);
  key.set(step.cache.key);
  value.set(step.cache.value);
  index.set(step.cache.index);
  k = step.cache.key;
  v = step.cache.value;
  mask = step.mask;
}

}  // namespace

template <class Api, AttentionName kName>
Tensor Attention<Api, kName>::attend(typename Api::Scope& s, const Tensor& q,
                                     const Tensor& k_or_none, const Tensor& v_or_none,
                                     const typename Api::AttentionCall& call) const
  requires(Api::kFunctional)
{
  if (!k_or_none.defined() && v_or_none.defined()) {
    fail<ValueError>("{}: values were given without keys", kClassName);
  }
  const Tensor k = k_or_none.defined() ? k_or_none : q;
  const Tensor v = v_or_none.defined() ? v_or_none : k;
  const int64_t features = qkv_features.value_or(q.shape(-1));
  const int64_t size = head_size(kClassName, features, heads);
  const linen::DenseGeneral projection{.features = {heads, size},
                                       .use_bias = use_bias,
                                       .dtype = dtype,
                                       .param_dtype = param_dtype,
                                       .kernel_init = kernel_init,
                                       .bias_init = bias_init};
  Tensor query = s("query", projection, q);
  Tensor key = s("key", projection, k);
  Tensor value = s("value", projection, v);
  if (normalize_qk) {
    const linen::LayerNorm norm{.dtype = dtype, .param_dtype = param_dtype, .use_bias = false};
    query = s("query_ln", norm, query);
    key = s("key_ln", norm, key);
  }
  Tensor mask = call.mask;
  if (decode) decode_into_cache(s, kClassName, query, key, value, mask);

  AttentionSettings settings{.mask = mask,
                             .causal = causal && !decode,
                             .dropout_rate = dropout_rate,
                             .broadcast_dropout = broadcast_dropout};
  if (dropout_rate > 0) {
    settings.deterministic =
        merge_param(kClassName, "deterministic", deterministic, call.deterministic);
    settings.dropout_key = [&] {
      return call.dropout_key ? *call.dropout_key : s.make_rng("dropout");
    };
  }
  if (call.sow_weights) {
    settings.on_weights = [&](const Tensor& weights) {
      s.sow("intermediates", "attention_weights", weights);
    };
  }
  const Tensor mixed = dot_product_attention(query, key, value, settings);
  const linen::DenseGeneral back{.features = {out_features.value_or(q.shape(-1))},
                                 .axis = {-2, -1},
                                 .use_bias = use_bias,
                                 .dtype = dtype,
                                 .param_dtype = param_dtype,
                                 .kernel_init = out_kernel_init ? out_kernel_init : kernel_init,
                                 .bias_init = out_bias_init ? out_bias_init : bias_init};
  return s("out", back, mixed);
}

template struct Attention<linen::Api, AttentionName::kMultiHeadDotProductAttention>;
template struct Attention<linen::Api, AttentionName::kMultiHeadAttention>;
template struct Attention<linen::Api, AttentionName::kSelfAttention>;

}  // namespace linnet::layers
