// Attention as one operation, forward and backward. Both recompute the scores from q and k with the
// same function, so what they disagree on is rounding only; a kernel may keep nothing but the
// log-sum-exp of each row (Dao et al., FlashAttention, arXiv:2205.14135).
#include <algorithm>
#include <cmath>

#include "core/ops/nn.h"
#include "core/ops/random.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constexpr const char* kName = "dot_product_attention";

void check_operands(const Tensor& q, const Tensor& k) {
  if (q.rank() != 4 || k.rank() != 4) {
    fail<ShapeError>("{}: expected q and k [batch, length, heads, dim], got {} and {}", kName,
                     to_string(q.type()), to_string(k.type()));
  }
  if (q.shape()[0] != k.shape()[0] || q.shape()[3] != k.shape()[3]) {
    fail<ShapeError>("{}: q {} and k {} differ in batch or head size", kName, to_string(q.type()),
                     to_string(k.type()));
  }
  const int64_t heads = q.shape()[2], kv_heads = k.shape()[2];
  if (kv_heads == 0 ? heads != 0 : heads % kv_heads != 0) {
    fail<ShapeError>("{}: {} query heads do not divide into groups for {} key heads", kName, heads,
                     kv_heads);
  }
}

void check_operands(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4) {
    fail<ShapeError>("{}: expected q, k, v [batch, length, heads, dim], got {}, {} and {}", kName,
                     to_string(q.type()), to_string(k.type()), to_string(v.type()));
  }
  check_operands(q, k);
  if (k.shape()[0] != v.shape()[0] || k.shape()[1] != v.shape()[1] ||
      k.shape()[2] != v.shape()[2]) {
    fail<ShapeError>("{}: k {} and v {} differ in batch, length or heads", kName,
                     to_string(k.type()), to_string(v.type()));
  }
  if (q.dtype() != k.dtype() || q.dtype() != v.dtype() || !is_floating(q.dtype())) {
    fail<DTypeError>("{}: expected q, k, v of one floating dtype, got {}, {} and {}", kName,
                     to_string(q.type()), to_string(k.type()), to_string(v.type()));
  }
}

void check_scores_operand(const char* what, const Tensor& x, const Shape& scores) {
  const auto fits = [&](size_t i) { return x.shape()[i] == 1 || x.shape()[i] == scores[i]; };
  if (x.rank() == 4 && fits(0) && fits(1) && fits(2) && fits(3)) return;
  fail<ShapeError>("{}: {} {} does not broadcast to [batch, heads, q_len, kv_len] = {}", kName,
                   what, to_string(x.type()), to_string(scores));
}

/// The operands that may be missing, which follow the others.
struct Extras {
  Tensor bias, mask, keys;
};

Extras extras_of(const AttentionParams& p, Inputs x, size_t first) {
  Extras out;
  if (p.has_bias) out.bias = x[first++];
  if (p.has_mask) out.mask = x[first++];
  if (p.dropout_rate > 0) out.keys = x[first];
  return out;
}

void check_extras(const AttentionParams& p, const Tensor& q, const Tensor& k, const Extras& e) {
  const Shape scores{q.shape()[0], q.shape()[2], q.shape()[1], k.shape()[1]};
  if (p.has_bias) check_scores_operand("bias", e.bias, scores);
  if (p.has_mask) {
    check_scores_operand("mask", e.mask, scores);
    if (e.mask.dtype() != DType::kBool) {
      fail<DTypeError>("{}: expected a bool mask, got {}\n  hint: a numeric mask is a bias", kName,
                       to_string(e.mask.type()));
    }
  }
  if (p.dropout_rate > 0 && (e.keys.rank() != 2 || e.keys.shape()[1] != 2 ||
                             e.keys.shape()[0] * p.batch_per_key != scores[0])) {
    fail<ShapeError>("{}: expected one key u32[2] per {} elements of a batch of {}, got {}", kName,
                     p.batch_per_key, scores[0], to_string(e.keys.type()));
  }
}

int64_t group_size(const Tensor& q, int64_t kv_heads) {
  return kv_heads == 0 ? 1 : q.shape()[2] / kv_heads;
}

/// x [batch, length, heads, dim] as [batch, kv_heads, group, length, dim]: the heads of a group
/// share a key.
Tensor by_groups(const Tensor& x, int64_t kv_heads) {
  const Shape& s = x.shape();
  const Tensor grouped = reshape(x, {s[0], s[1], kv_heads, group_size(x, kv_heads), s[3]});
  return transpose(grouped, {0, 2, 3, 1, 4});
}

Tensor from_groups(const Tensor& x) {
  const Shape& s = x.shape();
  return reshape(transpose(x, {0, 3, 1, 2, 4}), {s[0], s[3], s[1] * s[2], s[4]});
}

/// [batch or 1, heads or 1, ...] as [batch or 1, kv_heads or 1, group or 1, ...].
Tensor heads_by_groups(const Tensor& x, int64_t kv_heads, int64_t group) {
  Shape shape{x.shape()[0], kv_heads, group};
  if (x.shape()[1] == 1) shape[1] = shape[2] = 1;
  shape.append(x.shape().begin() + 2, x.shape().end());
  return reshape(x, shape);
}

/// True where a query may look, or undefined: everywhere. A causal query looks at keys up to its
/// own position.
Tensor places_to_look(const AttentionParams& p, const Tensor& q, const Tensor& k,
                      const Tensor& mask) {
  Tensor out;
  if (p.causal) {
    const Shape shape{q.shape()[1], k.shape()[1]};
    out = greater_equal(iota(DType::kI32, shape, 0), iota(DType::kI32, shape, 1));
  }
  if (!p.has_mask) return out;
  const Tensor own = heads_by_groups(mask, k.shape()[2], group_size(q, k.shape()[2]));
  return out.defined() ? logical_and(own, out) : own;
}

/// Masked scores get a large finite number, so that rows without any permitted key stay finite:
/// they look at all keys alike (J-042).
double masked_score(DType wide) { return -0.7 * finfo(wide).max; }

/// scale q · k + bias, masked: [batch, kv_heads, group, q_len, kv_len], wide.
Tensor scores_of(const AttentionParams& p, const Tensor& q, const Tensor& k, const Extras& e) {
  const int64_t kv_heads = k.shape()[2];
  const DType wide = wide_dtype(q.dtype());
  Tensor scores = dot_general(
      by_groups(q, kv_heads), k,
      {.lhs_contract = {4}, .rhs_contract = {3}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}}, wide);
  scores = mul(scores, p.scale);
  if (p.has_bias) {
    scores =
        add(scores, heads_by_groups(converted(e.bias, wide), kv_heads, group_size(q, kv_heads)));
  }
  const Tensor where_to_look = places_to_look(p, q, k, e.mask);
  if (!where_to_look.defined()) return scores;
  return where(where_to_look, scores, scalar(masked_score(wide), wide));
}

/// Which weights survive: bool [batch or 1, kv_heads or 1, group or 1, q_len, kv_len]. Each key
/// decides for `batch_per_key` elements of the batch.
Tensor kept(const AttentionParams& p, const Tensor& q, const Tensor& k, const Tensor& keys) {
  const int64_t count = keys.shape()[0];
  const int64_t heads = p.broadcast_dropout ? 1 : q.shape()[2];
  Shape shape{p.broadcast_dropout ? 1 : p.batch_per_key, heads, q.shape()[1], k.shape()[1]};
  const Tensor uniform = emit_one(random_uniform_primitive(), {keys},
                                  RandomRangeParams{.shape = shape, .layout = p.layout});
  Tensor keep = less(uniform, scalar(1 - p.dropout_rate, DType::kF32));
  shape.insert(0, count);
  if (count != 1 && shape[1] != p.batch_per_key) {
    shape[1] = p.batch_per_key;
    keep = broadcast_to(keep, shape);
  }
  shape[1] *= count;
  keep = reshape(keep, Shape(shape.begin() + 1, shape.end()));
  return heads_by_groups(keep, k.shape()[2], group_size(q, k.shape()[2]));
}

/// keep ? x / (1 - rate) : 0.
Tensor dropped(const AttentionParams& p, const Tensor& x, const Tensor& keep) {
  const double share = p.dropout_rate < 1 ? 1 - p.dropout_rate : 1;
  return where(keep, x / share, scalar(0, x.dtype()));
}

TypeList infer_attention(const AttentionParams& p, Inputs x) {
  const Tensor &q = x[0], &k = x[1], &v = x[2];
  check_operands(q, k, v);
  check_extras(p, q, k, extras_of(p, x, 3));
  const Shape& s = q.shape();
  return {{q.dtype(), Shape{s[0], s[1], s[2], v.shape()[3]}, false, q.device()},
          {wide_dtype(q.dtype()), Shape{s[0], s[2], s[1]}, false, q.device()}};
}

TensorList decompose_attention(const AttentionParams& p, Inputs x) {
  const Tensor &q = x[0], &k = x[1], &v = x[2];
  const Extras e = extras_of(p, x, 3);
  const Tensor scores = scores_of(p, q, k, e);
  Tensor weights = converted(softmax(scores, -1), q.dtype());
  if (p.dropout_rate > 0) weights = dropped(p, weights, kept(p, q, k, e.keys));
  const Tensor out = dot_general(
      weights, v,
      {.lhs_contract = {4}, .rhs_contract = {1}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}});
  const Shape& s = q.shape();
  return {from_groups(out), reshape(logsumexp(scores, Axes{-1}), {s[0], s[2], s[1]})};
}

/// The softmax again, from the log-sum-exp [batch, kv_heads, group, q_len, 1] of its rows.
Tensor weights_again(const AttentionParams& p, const Tensor& scores, const Tensor& lse) {
  const Tensor weights = exp(sub(scores, lse));
  if (!p.has_mask) return weights;
  // Where everything is masked, the logarithm of the count is lost beside the masked score.
  const int64_t kv_len = scores.shape(-1);
  const Tensor empty = less(lse, scalar(0.5 * masked_score(lse.dtype()), lse.dtype()));
  return where(empty, scalar(1.0 / static_cast<double>(std::max<int64_t>(1, kv_len)), lse.dtype()),
               weights);
}

/// Sums over the dimensions along which an operand [batch or 1, heads or 1, q_len or 1, kv_len or
/// 1] was repeated.
Tensor gradient_of_repeated(const Tensor& gradient, const Tensor& operand) {
  const Shape& g = gradient.shape();
  const Tensor full = reshape(gradient, {g[0], g[1] * g[2], g[3], g[4]});
  Axes repeated;
  for (int64_t i = 0; i < 4; ++i) {
    if (operand.shape()[i] == 1 && full.shape()[i] != 1) repeated.push_back(i);
  }
  return converted(repeated.empty() ? full : sum(full, repeated, true), operand.dtype());
}

TypeList infer_attention_backward(const AttentionBackwardParams& p, Inputs x) {
  TypeList out;
  for (size_t i = 0; i < 3; ++i) out.push_back({x[i].dtype(), x[i].shape(), false, x[i].device()});
  if (p.attention.has_bias) {
    const Tensor& bias = x[6 + p.has_dlse];
    out.push_back({bias.dtype(), bias.shape(), false, bias.device()});
  }
  return out;
}

/// With weights P, dropout factors D and y = (P D) v: dP = (dy v^T) D and, since the rows of P sum
/// to one, dscores = P (dP - rowsum(dy y) + dlse).
TensorList decompose_attention_backward(const AttentionBackwardParams& params, Inputs x) {
  const AttentionParams& p = params.attention;
  const Tensor &q = x[0], &k = x[1], &v = x[2], &y = x[3], &dy = x[5];
  const Extras e = extras_of(p, x, 6 + params.has_dlse);
  const int64_t kv_heads = k.shape()[2], group = group_size(q, kv_heads);
  const DType wide = wide_dtype(q.dtype());
  const auto per_row = [&](const Tensor& row) {
    return expand_dims(heads_by_groups(row, kv_heads, group), -1);
  };
  const Tensor weights = weights_again(p, scores_of(p, q, k, e), per_row(x[4]));
  const Tensor grouped_dy = by_groups(dy, kv_heads);
  Tensor dweights = dot_general(
      grouped_dy, v,
      {.lhs_contract = {4}, .rhs_contract = {3}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}}, wide);
  Tensor applied = converted(weights, q.dtype());
  if (p.dropout_rate > 0) {
    const Tensor keep = kept(p, q, k, e.keys);
    dweights = dropped(p, dweights, keep);
    applied = dropped(p, applied, keep);
  }
  Tensor row = transpose(sum(mul(widened(dy), widened(y)), Axes{-1}), {0, 2, 1});
  if (params.has_dlse) row = sub(row, x[6]);
  Tensor dscores = mul(weights, sub(dweights, per_row(row)));
  const Tensor where_to_look = places_to_look(p, q, k, e.mask);
  if (where_to_look.defined()) dscores = where(where_to_look, dscores, scalar(0, wide));
  const Tensor dproduct = converted(mul(dscores, p.scale), q.dtype());
  const Tensor dq = dot_general(
      dproduct, k,
      {.lhs_contract = {4}, .rhs_contract = {1}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}});
  // Sums over the queries and over the heads of a group: [batch, kv_heads, kv_len, dim].
  const DotDims over_queries{
      .lhs_contract = {2, 3}, .rhs_contract = {2, 3}, .lhs_batch = {0, 1}, .rhs_batch = {0, 1}};
  const Tensor dk = dot_general(dproduct, by_groups(q, kv_heads), over_queries);
  const Tensor dv = dot_general(applied, grouped_dy, over_queries);
  TensorList out{from_groups(dq), transpose(dk, {0, 2, 1, 3}), transpose(dv, {0, 2, 1, 3})};
  if (p.has_bias) out.push_back(gradient_of_repeated(dscores, e.bias));
  return out;
}

TensorList vjp_attention(const AttentionParams& p, Inputs x, Outputs y, Inputs cts) {
  TensorList operands{x[0], x[1], x[2], y[0], y[1]};
  operands.push_back(cts[0].defined() ? cts[0] : zeros(y[0].shape(), y[0].dtype()));
  if (cts[1].defined()) operands.push_back(cts[1]);
  operands.insert(operands.end(), x.begin() + 3, x.end());
  TensorList out =
      emit(attention_backward_primitive(), operands, AttentionBackwardParams{p, cts[1].defined()});
  out.resize(x.size());
  return out;
}

/// The mapped dimension of `in.x[i]` joined to its first one. Operands of the scores that have 1
/// there are repeated to `batch`.
Tensor joined(const BatchedInputs& in, size_t i, bool is_scores_operand, int64_t batch) {
  const Tensor x = in.batched[i] ? in.x[i] : expand_dims(in.x[i], 0);
  Shape shape = x.shape();
  shape[0] = in.size;
  if (is_scores_operand && shape[1] == 1) shape[1] = batch;
  Shape merged(shape.begin() + 1, shape.end());
  merged[0] *= in.size;
  return reshape(broadcast_to(x, shape), merged);
}

Tensor unjoined(const Tensor& x, int64_t size, int64_t batch) {
  Shape shape{size, batch};
  shape.append(x.shape().begin() + 1, x.shape().end());
  return reshape(x, shape);
}

/// The operands with the mapped dimension joined to the batch; those of the scores begin at
/// `first`.
TensorList joined_operands(const AttentionParams& p, const BatchedInputs& in, size_t first,
                           int64_t batch) {
  TensorList out;
  const size_t last = first + p.has_bias + p.has_mask;
  for (size_t i = 0; i < in.x.size(); ++i)
    out.push_back(joined(in, i, i >= first && i < last, batch));
  return out;
}

int64_t batch_of(const BatchedInputs& in) { return in.x[0].shape()[in.batched[0] ? 1 : 0]; }

TensorList batch_attention(const AttentionParams& p, const BatchedInputs& in) {
  const int64_t batch = batch_of(in);
  TensorList out = emit(attention_primitive(), joined_operands(p, in, 3, batch), p);
  for (Tensor& result : out) result = unjoined(result, in.size, batch);
  return out;
}

TensorList batch_attention_backward(const AttentionBackwardParams& p, const BatchedInputs& in) {
  const int64_t batch = batch_of(in);
  const size_t first = 6 + p.has_dlse;
  TensorList out =
      emit(attention_backward_primitive(), joined_operands(p.attention, in, first, batch), p);
  for (Tensor& result : out) result = unjoined(result, in.size, batch);
  if (p.attention.has_bias && in.x[first].shape()[in.batched[first] ? 1 : 0] == 1 && batch != 1)
    out[3] = sum(out[3], Axes{1}, true);
  return out;
}

Tensor with_four_dimensions(const Tensor& x) {
  if (x.rank() >= 4) return x;
  Shape shape(4 - x.rank(), 1);
  shape.append(x.shape().begin(), x.shape().end());
  return reshape(x, shape);
}

/// i32 [batch] as [batch, 1, 1, 1].
Tensor lengths_operand(const char* what, const Tensor& lengths, const Tensor& q) {
  if (lengths.rank() == 1 && lengths.shape()[0] == q.shape()[0] && is_integer(lengths.dtype()))
    return reshape(lengths, {q.shape()[0], 1, 1, 1});
  fail<ShapeError>("{}: expected {} integers [batch] for q {}, got {}", kName, what,
                   to_string(q.type()), to_string(lengths.type()));
}

/// The mask together with what sequence lengths and the window permit; undefined if nothing is
/// masked.
Tensor combined_mask(const Tensor& q, const Tensor& k, const Tensor& mask,
                     const AttentionOptions& options) {
  Tensor out = mask.defined() ? with_four_dimensions(mask) : mask;
  const auto permit = [&](const Tensor& more) {
    out = out.defined() ? logical_and(out, more) : more;
  };
  const Shape columns{1, 1, 1, k.shape()[1]}, rows{1, 1, q.shape()[1], 1};
  const Tensor column = iota(DType::kI32, columns, 3), row = iota(DType::kI32, rows, 2);
  if (options.query_seq_lengths.defined()) {
    permit(less(row, lengths_operand("query_seq_lengths", options.query_seq_lengths, q)));
  }
  if (options.key_value_seq_lengths.defined()) {
    permit(
        less(column, lengths_operand("key_value_seq_lengths", options.key_value_seq_lengths, q)));
  }
  if (options.local_window_size) {
    const auto [left, right] = *options.local_window_size;
    permit(logical_and(greater_equal(column, row - left), less_equal(column, row + right)));
  }
  return out;
}

AttentionParams params_of(const Tensor& q, const Tensor& bias, const Tensor& mask,
                          const AttentionOptions& options) {
  AttentionParams p;
  // A head of size zero has scores of zero, whatever they are multiplied by.
  const auto dim = static_cast<double>(std::max<int64_t>(1, q.shape()[3]));
  p.scale = options.scale.value_or(1 / std::sqrt(dim));
  p.causal = options.causal;
  p.has_bias = bias.defined();
  p.has_mask = mask.defined();
  return p;
}

void set_dropout(AttentionParams& p, const Tensor& q, const AttentionOptions& options) {
  if (!(options.dropout_rate >= 0 && options.dropout_rate <= 1)) {
    fail<ValueError>("{}: the dropout rate must be from 0 to 1, got {}", kName,
                     options.dropout_rate);
  }
  if (options.dropout_rate > 0 && !options.dropout_key.defined()) {
    fail<ValueError>("{}: dropout needs a key\n  hint: set dropout_key to the data of a Key",
                     kName);
  }
  p.dropout_rate = options.dropout_rate;
  p.broadcast_dropout = options.broadcast_dropout;
  p.batch_per_key = q.shape()[0];
  p.layout = random::layout();
}

}  // namespace

const Primitive& attention_primitive() {
  static const Primitive& p = define(Composite<AttentionParams>{.name = "dot_product_attention",
                                                                .decompose = decompose_attention,
                                                                .infer = infer_attention,
                                                                .vjp = vjp_attention,
                                                                .batch = batch_attention});
  return p;
}

const Primitive& attention_backward_primitive() {
  static const Primitive& p =
      define(Composite<AttentionBackwardParams>{.name = "dot_product_attention_backward",
                                                .decompose = decompose_attention_backward,
                                                .infer = infer_attention_backward,
                                                .batch = batch_attention_backward});
  return p;
}

AttentionResult dot_product_attention_with_residual(const Tensor& q, const Tensor& k,
                                                    const Tensor& v, const Tensor& bias,
                                                    const Tensor& mask,
                                                    const AttentionOptions& options) {
  check_operands(q, k, v);
  const Tensor permitted = combined_mask(q, k, mask, options);
  AttentionParams p = params_of(q, bias, permitted, options);
  set_dropout(p, q, options);
  TensorList operands{q, k, v};
  if (p.has_bias) operands.push_back(with_four_dimensions(bias));
  if (p.has_mask) operands.push_back(permitted);
  if (p.dropout_rate > 0) operands.push_back(expand_dims(options.dropout_key, 0));
  const TensorList out = emit(attention_primitive(), operands, p);
  AttentionResult result{out[0], transpose(out[1], {0, 2, 1})};
  if (options.query_seq_lengths.defined()) {
    const Tensor lengths = lengths_operand("query_seq_lengths", options.query_seq_lengths, q);
    const Tensor row = iota(DType::kI32, Shape{1, q.shape()[1], 1, 1}, 1);
    result.y = where(less(row, lengths), result.y, scalar(0, result.y.dtype()));
  }
  return result;
}

Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                             const Tensor& mask, const AttentionOptions& options) {
  return dot_product_attention_with_residual(q, k, v, bias, mask, options).y;
}

Tensor dot_product_attention_weights(const Tensor& q, const Tensor& k, const Tensor& bias,
                                     const Tensor& mask, const AttentionOptions& options) {
  check_operands(q, k);
  const Tensor permitted = combined_mask(q, k, mask, options);
  const AttentionParams p = params_of(q, bias, permitted, options);
  Extras e;
  if (p.has_bias) e.bias = with_four_dimensions(bias);
  if (p.has_mask) e.mask = permitted;
  check_extras(p, q, k, e);
  const Tensor weights = converted(softmax(scores_of(p, q, k, e), -1), q.dtype());
  return reshape(weights, {q.shape()[0], q.shape()[2], q.shape()[1], k.shape()[1]});
}

}  // namespace linnet
