#include <cmath>

#include "core/base/format.h"
#include "core/ops/nn.h"

namespace linnet {
namespace {

constexpr const char* kName = "dot_product_attention";

void check_operands(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4) {
    fail<ShapeError>("{}: expected q, k, v [batch, length, heads, dim], got {}, {} and {}", kName,
                     to_string(q.type()), to_string(k.type()), to_string(v.type()));
  }
  if (q.shape()[0] != k.shape()[0] || q.shape()[3] != k.shape()[3]) {
    fail<ShapeError>("{}: q {} and k {} differ in batch or head size", kName, to_string(q.type()),
                     to_string(k.type()));
  }
  if (k.shape()[0] != v.shape()[0] || k.shape()[1] != v.shape()[1] ||
      k.shape()[2] != v.shape()[2]) {
    fail<ShapeError>("{}: k {} and v {} differ in batch, length or heads", kName,
                     to_string(k.type()), to_string(v.type()));
  }
  if (k.shape()[2] == 0 || q.shape()[2] % k.shape()[2]) {
    fail<ShapeError>("{}: {} query heads do not divide into groups for {} key heads", kName,
                     q.shape()[2], k.shape()[2]);
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

TypeList infer_attention(const AttentionParams& p, Inputs x) {
  const Tensor &q = x[0], &k = x[1], &v = x[2];
  check_operands(q, k, v);
  const Shape scores{q.shape()[0], q.shape()[2], q.shape()[1], k.shape()[1]};
  if (p.has_bias) check_scores_operand("bias", x[3], scores);
  if (p.has_mask) {
    const Tensor& mask = x[3 + p.has_bias];
    check_scores_operand("mask", mask, scores);
    if (mask.dtype() != DType::kBool) {
      fail<DTypeError>("{}: expected a bool mask, got {}\n  hint: a numeric mask is a bias", kName,
                       to_string(mask.type()));
    }
  }
  return {{q.dtype(), Shape{q.shape()[0], q.shape()[1], q.shape()[2], v.shape()[3]}, false,
           q.device()}};
}

/// [batch, heads or 1, q_len, kv_len] as [batch, kv_heads or 1, group or 1, q_len, kv_len].
Tensor grouped_scores(const Tensor& x, int64_t kv_heads) {
  const Shape& s = x.shape();
  if (s[1] == 1) return expand_dims(x, 1);
  return reshape(x, {s[0], kv_heads, s[1] / kv_heads, s[2], s[3]});
}

/// True where a query may look: at keys up to its own position.
Tensor causal_mask(int64_t q_len, int64_t kv_len) {
  const Shape shape{q_len, kv_len};
  return greater_equal(iota(DType::kI32, shape, 0), iota(DType::kI32, shape, 1));
}

/// Masked scores get a large finite number, so that rows without any permitted key stay finite
/// (J-042).
Tensor masked(const Tensor& scores, const Tensor& mask) {
  return where(mask, scores, scalar(-0.7 * finfo(scores.dtype()).max, scores.dtype()));
}

TensorList decompose_attention(const AttentionParams& p, Inputs x) {
  const Tensor &q = x[0], &k = x[1], &v = x[2];
  const int64_t kv_heads = k.shape()[2];
  const DType wide = wide_dtype(q.dtype());
  const Shape& s = q.shape();
  const Tensor grouped = reshape(q, {s[0], s[1], kv_heads, s[2] / kv_heads, s[3]});
  // q [b, t, n, g, h] with k [b, s, n, h] gives [b, n, g, t, s] once the query axes are in that
  // order.
  const Tensor queries = transpose(grouped, {0, 2, 3, 1, 4});
  Tensor scores = dot_general(
      queries, k,
      {.lhs_contract = {4}, .rhs_contract = {3}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}}, wide);
  scores = mul(scores, p.scale);
  if (p.has_bias) scores = add(scores, grouped_scores(converted(x[3], wide), kv_heads));
  if (p.has_mask) scores = masked(scores, grouped_scores(x[3 + p.has_bias], kv_heads));
  if (p.causal) scores = masked(scores, causal_mask(s[1], k.shape()[1]));
  const Tensor weights = converted(softmax(scores, -1), q.dtype());
  const Tensor out = dot_general(
      weights, v,
      {.lhs_contract = {4}, .rhs_contract = {1}, .lhs_batch = {0, 1}, .rhs_batch = {0, 2}});
  return {reshape(transpose(out, {0, 3, 1, 2, 4}), {s[0], s[1], s[2], v.shape()[3]})};
}

/// The batch joins the batch dimension of every operand.
TensorList batch_attention(const AttentionParams& p, const BatchedInputs& in) {
  TensorList x;
  for (size_t i = 0; i < in.x.size(); ++i) {
    Tensor operand = in.x[i];
    Shape shape = operand.shape();
    if (!in.batched[i]) shape.insert(0, in.size);
    if (i >= 3 && shape[1] == 1) shape[1] = in.x[0].shape()[in.batched[0] ? 1 : 0];
    operand = broadcast_to(operand, shape);
    Shape merged(shape.begin() + 1, shape.end());
    merged[0] *= in.size;
    x.push_back(reshape(operand, merged));
  }
  const Tensor out = emit_one(attention_primitive(), x, p);
  Shape split{in.size, out.shape(0) / in.size};
  split.append(out.shape().begin() + 1, out.shape().end());
  return {reshape(out, split)};
}

Tensor with_four_dimensions(const Tensor& x) {
  if (x.rank() >= 4) return x;
  Shape shape(4 - x.rank(), 1);
  shape.append(x.shape().begin(), x.shape().end());
  return reshape(x, shape);
}

}  // namespace

const Primitive& attention_primitive() {
  static const Primitive& p = define(Composite<AttentionParams>{.name = "dot_product_attention",
                                                                .decompose = decompose_attention,
                                                                .infer = infer_attention,
                                                                .batch = batch_attention});
  return p;
}

Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                             const Tensor& mask, const AttentionOptions& options) {
  check_operands(q, k, v);
  AttentionParams p;
  p.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q.shape()[3])));
  p.causal = options.causal;
  p.has_bias = bias.defined();
  p.has_mask = mask.defined();
  TensorList operands{q, k, v};
  if (p.has_bias) operands.push_back(with_four_dimensions(bias));
  if (p.has_mask) operands.push_back(with_four_dimensions(mask));
  return emit_one(attention_primitive(), operands, p);
}

}  // namespace linnet
