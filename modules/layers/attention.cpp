#include "modules/layers/attention.h"

#include "linnet/detail/format.h"
#include "linnet/layers/dtypes.h"

namespace linnet::layers {
namespace {

Tensor as_bool(const Tensor& mask) {
  return !mask.defined() || mask.dtype() == DType::kBool ? mask : not_equal(mask, 0);
}

Shape with_front(int64_t front, const Shape& shape, size_t from) {
  Shape out{front};
  out.append(shape.begin() + from, shape.end());
  return out;
}

/// [batch..., a, b, c] with all batch dimensions as one.
Tensor with_one_batch(const Tensor& x, const Shape& batch) {
  if (batch.size() == 1) return x;
  return reshape(x, with_front(element_count(batch), x.shape(), batch.size()));
}

/// A bias or mask [batch..., heads, q_len, kv_len], of which leading dimensions may be missing
/// or 1.
Tensor scores_operand(const Tensor& x, const Shape& batch) {
  if (!x.defined() || batch.size() == 1 || x.rank() <= 3) return x;
  Shape full = batch;
  full.append(x.shape().end() - 3, x.shape().end());
  return reshape(broadcast_to(x, full), with_front(element_count(batch), full, batch.size()));
}

}  // namespace

Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionSettings& settings) {
  if (q.rank() < 3 || k.rank() != q.rank() || v.rank() != q.rank()) {
    fail<ShapeError>(
        "attention: expected q, k, v [batch..., length, heads, dim], got {}, {} and {}", type_of(q),
        type_of(k), type_of(v));
  }
  const Shape batch(q.shape().begin(), q.shape().end() - 3);
  if (Shape(k.shape().begin(), k.shape().end() - 3) != batch ||
      Shape(v.shape().begin(), v.shape().end() - 3) != batch) {
    fail<ShapeError>("attention: q {}, k {} and v {} differ in batch dimensions", type_of(q),
                     type_of(k), type_of(v));
  }
  const TensorList same = promote_dtype({q, k, v}, {});
  const Tensor query = with_one_batch(same[0], batch), key = with_one_batch(same[1], batch),
               value = with_one_batch(same[2], batch);
  const Tensor bias = scores_operand(settings.bias, batch);
  const Tensor mask = scores_operand(as_bool(settings.mask), batch);
  AttentionOptions options{.causal = settings.causal};
  if (settings.on_weights) {
    const Tensor weights = dot_product_attention_weights(query, key, bias, mask, options);
    Shape full = batch;
    full.append(weights.shape().begin() + 1, weights.shape().end());
    settings.on_weights(reshape(weights, full));
  }
  if (settings.dropout_rate > 0 && !settings.deterministic) {
    if (!settings.dropout_key) {
      fail<ModuleError>(
          "attention: dropout needs a random key\n  hint: pass one, or set deterministic");
    }
    options.dropout_rate = settings.dropout_rate;
    options.broadcast_dropout = settings.broadcast_dropout;
    options.dropout_key = settings.dropout_key().data();
  }
  const Tensor y = linnet::dot_product_attention(query, key, value, bias, mask, options);
  if (batch.size() == 1) return y;
  Shape full = batch;
  full.append(y.shape().begin() + 1, y.shape().end());
  return reshape(y, full);
}

Tensor make_attention_mask(const Tensor& queries, const Tensor& keys,
                           const std::function<Tensor(const Tensor&, const Tensor&)>& pairwise,
                           int64_t extra_batch_dims, DType dtype) {
  const Tensor q = expand_dims(queries, -1), k = expand_dims(keys, -2);
  Tensor mask = expand_dims(pairwise ? pairwise(q, k) : mul(q, k), -3);
  for (int64_t i = 0; i < extra_batch_dims; ++i) mask = expand_dims(mask, 0);
  return astype(mask, dtype);
}

Tensor make_causal_mask(const Tensor& x, int64_t extra_batch_dims, DType dtype) {
  const Tensor positions = iota(DType::kI32, x.shape(), static_cast<int64_t>(x.rank()) - 1);
  return make_attention_mask(positions, positions, greater_equal, extra_batch_dims, dtype);
}

Tensor combine_masks(const TensorList& masks, DType dtype) {
  Tensor out;
  for (const Tensor& mask : masks) {
    if (!mask.defined()) continue;
    if (out.defined() && out.rank() != mask.rank()) {
      fail<ValueError>("combine_masks: expected masks of one rank, got {} and {}", type_of(out),
                       type_of(mask));
    }
    out = out.defined() ? logical_and(as_bool(out), as_bool(mask)) : mask;
  }
  return out.defined() ? astype(out, dtype) : out;
}

int64_t head_size(const char* layer, int64_t features, int64_t heads) {
  if (heads < 1 || features % heads) {
    fail<ValueError>("{}: {} heads do not divide {} features", layer, heads, features);
  }
  return features / heads;
}

namespace {

/// A compiled program cannot throw for a number it computes; there the row beyond the end is NaN.
void check_room(const char* layer, const Tensor& index, int64_t max_length) {
  if (index.traced()) return;
  const int64_t position = index.item<int32_t>();
  if (position >= max_length) {
    fail<ValueError>(
        "{}: position {} is past the end of a cache of length {}\n"
        "  hint: allocate the cache for the longest sequence, or start a new one",
        layer, position, max_length);
  }
}

}  // namespace

DecodeStep decode_step(const char* layer, const DecodeCache& cache, const Tensor& query,
                       const Tensor& key, const Tensor& value, const Tensor& mask) {
  Shape expected = cache.key.shape();
  const size_t length_axis = expected.size() - 3;
  const int64_t max_length = expected[length_axis];
  expected[length_axis] = 1;
  if (query.rank() != expected.size() || query.shape(-3) != 1 || key.shape() != expected ||
      value.shape() != expected) {
    fail<ValueError>(
        "{}: decoding takes one position per call; expected keys and values {}, got query {}, key "
        "{} "
        "and value {}",
        layer, to_string(expected), type_of(query), type_of(key), type_of(value));
  }
  check_room(layer, cache.index, max_length);
  TensorList starts(expected.size(), scalar_integer(0, DType::kI32));
  starts[length_axis] = cache.index;
  const Tensor room = less(cache.index, scalar_integer(max_length, DType::kI32));
  const auto written = [&](const Tensor& old, const Tensor& now) {
    const Tensor row = where(room, astype(now, old.dtype()), scalar(NAN, old.dtype()));
    return dynamic_update_slice(old, row, starts);
  };
  DecodeStep out;
  out.cache.key = written(cache.key, key);
  out.cache.value = written(cache.value, value);
  out.cache.index = cache.index + scalar_integer(1, DType::kI32);
  Shape seen_shape(expected.begin(), expected.begin() + length_axis);
  for (int64_t size : {int64_t{1}, int64_t{1}, max_length}) seen_shape.push_back(size);
  const Tensor seen = less_equal(iota(DType::kI32, {max_length}), cache.index);
  out.mask = combine_masks({mask, broadcast_to(seen, seen_shape)}, DType::kBool);
  return out;
}

}  // namespace linnet::layers
