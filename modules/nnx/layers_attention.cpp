#include "linnet/nnx/layers_attention.h"

#include "linnet/detail/format.h"
#include "linnet/nnx/capture.h"
#include "linnet/nnx/views.h"
#include "modules/layers/attention.h"
#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {
namespace {

constexpr const char* kLayer = "MultiHeadAttention";

int64_t head_size(int64_t num_heads, int64_t in_features, const AttentionOptions& options) {
  return layers::head_size(kLayer, options.qkv_features.value_or(in_features), num_heads);
}

int64_t kv_heads(int64_t num_heads, const AttentionOptions& options) {
  const int64_t heads = options.num_kv_heads.value_or(num_heads);
  if (heads < 1 || num_heads % heads) {
    fail<ValueError>("{}: {} key and value heads do not divide {} query heads", kLayer, heads,
                     num_heads);
  }
  return heads;
}

LinearGeneralOptions projection(const AttentionOptions& options) {
  return {.use_bias = options.use_bias,
          .dtype = options.dtype,
          .param_dtype = options.param_dtype,
          .kernel_init = options.kernel_init,
          .bias_init = options.bias_init};
}

LinearGeneralOptions back_projection(const AttentionOptions& options) {
  LinearGeneralOptions out = projection(options);
  out.axis = {-2, -1};
  if (options.out_kernel_init.function) out.kernel_init = options.out_kernel_init;
  if (options.out_bias_init.function) out.bias_init = options.out_bias_init;
  return out;
}

std::optional<LayerNorm> head_norm(int64_t size, const AttentionOptions& options, Rngs& rngs) {
  if (!options.normalize_qk) return std::nullopt;
  return LayerNorm(
      size, {.dtype = options.dtype, .param_dtype = options.param_dtype, .use_bias = false}, rngs);
}

MultiHeadAttention& required(MultiHeadAttention* layer, const char* what) {
  if (!layer) {
    fail<ModuleError>(
        "{}: {} writes variables of the layer, and it is const\n"
        "  hint: call a layer that is not const; dropout needs nnx::eval(model), or Rngs in the "
        "call",
        kLayer, what);
  }
  return *layer;
}

void check_features(const char* what, const Tensor& x, int64_t expected) {
  if (x.rank() < 2 || x.shape(-1) != expected) {
    fail<ValueError>("{}: expected {} [batch..., length, {}], got {}", kLayer, what, expected,
                     type_of(x));
  }
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(int64_t num_heads, int64_t in_features,
                                       const Options& options, RngsRef rngs)
    : Options(options),
      query({in_features}, {num_heads, head_size(num_heads, in_features, options)},
            projection(options), rngs),
      key({options.in_kv_features.value_or(in_features)},
          {kv_heads(num_heads, options), head_size(num_heads, in_features, options)},
          projection(options), rngs),
      value({options.in_kv_features.value_or(in_features)},
            {kv_heads(num_heads, options), head_size(num_heads, in_features, options)},
            projection(options), rngs),
      query_ln(head_norm(head_size(num_heads, in_features, options), options, rngs)),
      key_ln(head_norm(head_size(num_heads, in_features, options), options, rngs)),
      out({num_heads, head_size(num_heads, in_features, options)},
          {options.out_features.value_or(in_features)}, back_projection(options), rngs),
      num_heads(num_heads),
      in_features(in_features) {
  num_kv_heads = kv_heads(num_heads, options);
  drop_initialisers<Options>(*this);
  if (dropout_rate > 0 && options.keep_rngs) this->rngs.emplace(rngs->stream("dropout").fork());
}

void MultiHeadAttention::init_cache(const Shape& input_shape, DType cache_dtype) {
  if (input_shape.size() < 2 || input_shape.back() != in_features) {
    fail<ValueError>("{}: expected an input shape [batch..., max_length, {}] for the cache, got {}",
                     kLayer, in_features, to_string(input_shape));
  }
  Shape shape(input_shape.begin(), input_shape.end() - 1);
  shape.push_back(*num_kv_heads);
  shape.push_back(key.kernel.shape()[2]);
  cached_key.emplace(zeros(shape, cache_dtype));
  cached_value.emplace(zeros(shape, cache_dtype));
  cache_index.emplace(scalar_integer(0, DType::kI32));
}

void MultiHeadAttention::set_view(Attributes& attributes) {
  const auto batch = attributes.take<int64_t>("batch_size");
  const auto length = attributes.take<int64_t>("max_length");
  if (batch.has_value() != length.has_value()) {
    fail<ValueError>("{}: batch_size and max_length are given together", kLayer);
  }
  if (decode && batch) init_cache({*batch, *length, in_features});
}

void MultiHeadAttention::decode_into_cache(const Tensor& q, Tensor& k, Tensor& v, Tensor& mask) {
  if (!cached_key || !cached_value || !cache_index) {
    fail<ValueError>("{}: the cache is not initialised\n  hint: call init_cache before decoding",
                     kLayer);
  }
  const layers::DecodeStep step = layers::decode_step(
      kLayer, {cached_key->value(), cached_value->value(), cache_index->value()}, q, k, v, mask);
  cached_key->set_value(step.cache.key);
  cached_value->set_value(step.cache.value);
  cache_index->set_value(step.cache.index);
  k = astype(step.cache.key, k.dtype());
  v = astype(step.cache.value, v.dtype());
  mask = step.mask;
}

Tensor MultiHeadAttention::attend(MultiHeadAttention* writable, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const AttentionCall& call) const {
  const LayerPath path(query.kernel, 2);
  check_features("queries", q, in_features);
  check_features("keys", k, key.in_features[0]);
  check_features("values", v, value.in_features[0]);
  Tensor queries = query(q), keys = key(k), values = value(v);
  if (query_ln) queries = (*query_ln)(queries);
  if (key_ln) keys = (*key_ln)(keys);
  const bool decodes = call.decode.value_or(decode);
  Tensor mask = call.mask;
  if (decodes) required(writable, "decoding").decode_into_cache(queries, keys, values, mask);
  layers::AttentionSettings settings{.mask = mask,
                                     .causal = causal && !decodes,
                                     .dropout_rate = dropout_rate,
                                     .broadcast_dropout = broadcast_dropout,
                                     .deterministic = call.deterministic.value_or(deterministic)};
  if (call.rngs) {
    settings.dropout_key = [&] { return call.rngs->next("dropout"); };
  } else if (rngs) {
    settings.dropout_key = [&] { return required(writable, "dropout").rngs->next(); };
  }
  if (call.sow_weights) {
    std::optional<Intermediate>& kept = required(writable, "sow_weights").attention_weights;
    settings.on_weights = [&](const Tensor& weights) {
      const bool first = !kept;
      if (!sow(kept, weights) || !first) return;
      kept->cell()->label =
          module_path().empty() ? "attention_weights" : module_path() + "/attention_weights";
    };
  }
  return out(layers::dot_product_attention(queries, keys, values, settings));
}

}  // namespace linnet::nnx
