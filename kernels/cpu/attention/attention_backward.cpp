#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/attention/heads.h"
#include "kernels/cpu/vector/targets.h"
#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention/attention_backward.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/attention/block-inl.h"

#ifndef LINNET_CPU_ATTENTION_BACKWARD
#define LINNET_CPU_ATTENTION_BACKWARD
namespace linnet::cpu {

constexpr int64_t kBlockQueries = 64;
/// Panels of keys of a block. Its scores, their gradients and the keys' and values' rows that it
/// works on fit the second-level cache together.
constexpr int64_t kBlockPanels = 4;

/// What one range of heads works in.
struct BackwardSpace {
  BackwardSpace(Workspace& w, const AttentionProblem& p, int64_t panel)
      : keys(w.take<float>(p.kv_len * p.dim)),
        key_panels(w.take<float>((p.kv_len + panel) * p.dim)),
        values(w.take<float>(p.kv_len * p.v_dim)),
        value_panels(w.take<float>((p.kv_len + panel) * p.v_dim)),
        dkeys(w.take<float>(p.kv_len * p.dim)),
        dvalues(w.take<float>(p.kv_len * p.v_dim)),
        queries(w.take<float>(kBlockQueries * p.dim)),
        dqueries(w.take<float>(kBlockQueries * p.dim)),
        y(w.take<float>(kBlockQueries * p.v_dim)),
        dy(w.take<float>(kBlockQueries * p.v_dim)),
        weights(w.take<float>(kBlockQueries * attention_pitch(kBlockPanels * panel))),
        dweights(w.take<float>(kBlockQueries * attention_pitch(kBlockPanels * panel))) {}
  float *keys, *key_panels, *values, *value_panels, *dkeys, *dvalues;
  float *queries, *dqueries, *y, *dy;
  float *weights, *dweights;
};

struct BackwardCall {
  const AttentionProblem& problem;
  const AttentionInputs& in;
  const AttentionGradient& gradient;
  void *dq, *dk, *dv;
};

}  // namespace linnet::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

/// A block of queries of one head.
struct QueryBlock {
  int64_t batch, head, first, count;
  HWY_ALIGN float lse[kBlockQueries];
  HWY_ALIGN float offset[kBlockQueries];  ///< of dP: sum of dy y, less dlse
};

/// Scores become weights, and gradients of weights gradients of scores times the scale.
void gradient_row(int64_t count, float* scores, float* dweights, float scale, float lse,
                  float offset, float dscale) {
  const Floats d;
  const auto scales = hn::Set(d, scale), shifts = hn::Set(d, lse), offsets = hn::Set(d, offset),
             dscales = hn::Set(d, dscale);
  for_row(count, [&](auto load, auto store) HWY_ATTR {
    const auto weight = exponential(hn::Sub(hn::Mul(load(scores), scales), shifts));
    const auto gradient = hn::Mul(weight, hn::Sub(load(dweights), offsets));
    store(weight, scores);
    store(hn::Mul(gradient, dscales), dweights);
  });
}

/// As above for a row with a mask, of `count` keys from `key` on.
void masked_gradient_row(const AttentionProblem& p, const uint8_t* mask, int64_t key, int64_t count,
                         int64_t limit, float* scores, float* dweights, float lse, float offset) {
  const int64_t stride = p.mask_strides[3];
  mask += key * stride;
  limit -= key;
  apply_mask(count, scores, p.scale, mask, stride, limit);
  gradient_row(count, scores, dweights, 1.0f, lse, offset, p.scale);
  // Where everything is masked, the logarithm of the count is lost beside the masked score.
  if (lse < 0.5f * kMaskedScore) std::fill_n(scores, count, 1.0f / static_cast<float>(p.kv_len));
  for (int64_t j = 0; j < count; ++j) dweights[j] = mask[j * stride] && j < limit ? dweights[j] : 0;
}

/// The block of queries against `count` keys from `key` on.
void backward_keys(const BackwardCall& call, const BackwardSpace& s, const QueryBlock& q,
                   int64_t key, int64_t count) {
  const AttentionProblem& p = call.problem;
  const int64_t pitch = attention_pitch(kBlockPanels * panel_columns());
  multiply_panels(s.queries, s.key_panels + key * p.dim, s.weights, pitch, q.count, count, p.dim);
  multiply_panels(s.dy, s.value_panels + key * p.v_dim, s.dweights, pitch, q.count, count, p.v_dim);
  for (int64_t i = 0; i < q.count; ++i) {
    float *row = s.weights + i * pitch, *drow = s.dweights + i * pitch;
    const int64_t limit = p.causal ? std::min(p.kv_len, q.first + i + 1) : p.kv_len;
    if (p.has_mask) {
      masked_gradient_row(p, mask_row(p, call.in.mask, q.batch, q.head, q.first + i), key, count,
                          limit, row, drow, q.lse[i], q.offset[i]);
      continue;
    }
    const int64_t seen = std::clamp<int64_t>(limit - key, 0, count);
    gradient_row(seen, row, drow, p.scale, q.lse[i], q.offset[i], p.scale);
    std::fill(row + seen, row + count, 0.0f);
    std::fill(drow + seen, drow + count, 0.0f);
  }
  const float *keys = s.keys + key * p.dim, *scores = s.dweights;
  multiply({scores, pitch, 1, keys, p.dim, s.dqueries, p.dim, count, true}, q.count, p.dim);
  multiply({scores, 1, pitch, s.queries, p.dim, s.dkeys + key * p.dim, p.dim, q.count, true}, count,
           p.dim);
  multiply({s.weights, 1, pitch, s.dy, p.v_dim, s.dvalues + key * p.v_dim, p.v_dim, q.count, true},
           count, p.v_dim);
}

float row_number(const AttentionRows& rows, int64_t batch, int64_t head, int64_t query) {
  return rows.data[batch * rows.strides[0] + head * rows.strides[1] + query * rows.strides[2]];
}

void backward_queries(const BackwardCall& call, const BackwardSpace& s, QueryBlock& q) {
  const AttentionProblem& p = call.problem;
  const AttentionGradient& g = call.gradient;
  load_rows(p.dtype, call.in.q, q.batch, q.head, q.first, q.count, p.dim, s.queries);
  load_rows(p.dtype, g.y, q.batch, q.head, q.first, q.count, p.v_dim, s.y);
  load_rows(p.dtype, g.dy, q.batch, q.head, q.first, q.count, p.v_dim, s.dy);
  for (int64_t i = 0; i < q.count; ++i) {
    const float *y = s.y + i * p.v_dim, *dy = s.dy + i * p.v_dim;
    const Floats d;
    auto sum = hn::Zero(d);
    for_row(p.v_dim, [&](auto load, auto) HWY_ATTR { sum = hn::MulAdd(load(y), load(dy), sum); });
    q.lse[i] = row_number(g.lse, q.batch, q.head, q.first + i);
    q.offset[i] = sum_lanes(d, sum);
    if (g.dlse.data) q.offset[i] -= row_number(g.dlse, q.batch, q.head, q.first + i);
  }
  std::fill_n(s.dqueries, q.count * p.dim, 0.0f);
  const int64_t keys = keys_of(p, q.first, q.count), block = kBlockPanels * panel_columns();
  for (int64_t key = 0; key < keys; key += block)
    backward_keys(call, s, q, key, std::min(block, keys - key));
  store_rows(p.dtype, s.dqueries, q.count, p.dim, call.dq, p.q_len, p.heads, q.batch, q.head,
             q.first);
}

/// A head of keys with all heads of queries that it serves, in their order.
void BackwardHead(const BackwardCall& call, const BackwardSpace& s, int64_t batch,
                  int64_t kv_head) {
  const AttentionProblem& p = call.problem;
  load_rows(p.dtype, call.in.k, batch, kv_head, 0, p.kv_len, p.dim, s.keys);
  turn_to_panels(s.keys, p.kv_len, p.dim, panel_columns(), s.key_panels);
  load_rows(p.dtype, call.in.v, batch, kv_head, 0, p.kv_len, p.v_dim, s.values);
  turn_to_panels(s.values, p.kv_len, p.v_dim, panel_columns(), s.value_panels);
  std::fill_n(s.dkeys, p.kv_len * p.dim, 0.0f);
  std::fill_n(s.dvalues, p.kv_len * p.v_dim, 0.0f);
  const int64_t group = p.heads / p.kv_heads;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t i = 0; i < p.q_len; i += kBlockQueries) {
      QueryBlock q;
      q.batch = batch;
      q.head = head;
      q.first = i;
      q.count = std::min(kBlockQueries, p.q_len - i);
      backward_queries(call, s, q);
    }
  }
  store_rows(p.dtype, s.dkeys, p.kv_len, p.dim, call.dk, p.kv_len, p.kv_heads, batch, kv_head, 0);
  store_rows(p.dtype, s.dvalues, p.kv_len, p.v_dim, call.dv, p.kv_len, p.kv_heads, batch, kv_head,
             0);
}

int64_t BackwardPanel() { return panel_columns(); }

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(BackwardHead);
HWY_EXPORT(BackwardPanel);

size_t attention_backward_workspace(const AttentionProblem& p) {
  const int64_t slots = parallel_slots(p.batch * p.kv_heads, attention_grain(p));
  return static_cast<size_t>(slots) *
         workspace_bytes<BackwardSpace>(p, HWY_DYNAMIC_DISPATCH(BackwardPanel)());
}

void attention_backward(const AttentionProblem& p, const AttentionInputs& in,
                        const AttentionGradient& gradient, void* dq, void* dk, void* dv,
                        void* workspace) {
  const int64_t panel = HWY_DYNAMIC_DISPATCH(BackwardPanel)();
  const size_t bytes = workspace_bytes<BackwardSpace>(p, panel);
  const BackwardCall call{p, in, gradient, dq, dk, dv};
  parallel_for_slots(
      p.batch * p.kv_heads, attention_grain(p), [&](int64_t begin, int64_t end, int64_t slot) {
        Workspace w(static_cast<std::byte*>(workspace) + static_cast<size_t>(slot) * bytes);
        const BackwardSpace space(w, p, panel);
        for (int64_t i = begin; i < end; ++i)
          HWY_DYNAMIC_DISPATCH(BackwardHead)(call, space, i / p.kv_heads, i % p.kv_heads);
      });
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
