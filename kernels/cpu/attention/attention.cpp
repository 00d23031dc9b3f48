#include "kernels/cpu/attention/attention.h"

#include <cmath>

#include "kernels/cpu/attention/heads.h"
#include "kernels/cpu/vector/targets.h"
#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention/attention.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/attention/block-inl.h"

#ifndef LINNET_CPU_ATTENTION_FORWARD
#define LINNET_CPU_ATTENTION_FORWARD
namespace linnet::cpu {

/// What one range of heads works in.
struct ForwardSpace {
  ForwardSpace(Workspace& w, const AttentionProblem& p, int64_t panel)
      : keys(w.take<float>((p.kv_len + panel) * p.dim)),
        rows(w.take<float>(p.kv_len * p.dim)),
        values(w.take<float>(p.kv_len * p.v_dim)),
        queries(w.take<float>(attention_queries(p) * p.dim)),
        scores(w.take<float>(attention_queries(p) * attention_pitch(p.kv_len))),
        results(w.take<float>(attention_queries(p) * p.v_dim)) {}
  float* keys;     ///< panels
  float* rows;     ///< of the keys, before they are panels
  float* values;   ///< [kv_len, v_dim]
  float* queries;  ///< [block, dim]
  float* scores;   ///< [block, pitch]
  float* results;  ///< [block, v_dim]
};

struct ForwardCall {
  const AttentionProblem& problem;
  const AttentionInputs& in;
  void* y;
  float* lse;
};

}  // namespace linnet::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

/// Scales a row and returns its greatest number. NaN is passed over: it is in the sum.
float scale_row(int64_t count, float* x, float scale) {
  const Floats d;
  const auto factor = hn::Set(d, scale);
  const float least = -std::numeric_limits<float>::infinity();
  auto a = hn::Set(d, least), b = a;
  const int64_t lanes = float_lanes();
  int64_t j = 0;
  for (; j + 2 * lanes <= count; j += 2 * lanes) {
    const auto first = hn::Mul(hn::LoadU(d, x + j), factor);
    const auto second = hn::Mul(hn::LoadU(d, x + j + lanes), factor);
    hn::StoreU(first, d, x + j);
    hn::StoreU(second, d, x + j + lanes);
    a = hn::Max(first, a);
    b = hn::Max(second, b);
  }
  float high = hn::GetLane(hn::MaxOfLanes(d, hn::Max(a, b)));
  for (; j < count; ++j) {
    x[j] *= scale;
    if (x[j] > high) high = x[j];
  }
  return high;
}

/// x = exp(x - shift); returns the sum.
float exponential_row(int64_t count, float* x, float shift) {
  const Floats d;
  const auto shifts = hn::Set(d, shift);
  auto sum = hn::Zero(d);
  const int64_t lanes = float_lanes();
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const auto e = exponential(hn::Sub(hn::LoadU(d, x + j), shifts));
    hn::StoreU(e, d, x + j);
    sum = hn::Add(sum, e);
  }
  if (j < count) {
    const auto e = exponential(hn::Sub(load_part(d, x + j, count - j, 0.0f), shifts));
    store_part(d, e, x + j, count - j);
    sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count - j)), e));
  }
  return sum_lanes(d, sum);
}

/// One block of queries: their scores become weights before division, then results.
void forward_block(const ForwardCall& call, const ForwardSpace& s, int64_t batch, int64_t head,
                   int64_t first, int64_t count) {
  const AttentionProblem& p = call.problem;
  const int64_t keys = keys_of(p, first, count), pitch = attention_pitch(p.kv_len);
  load_rows(p.dtype, call.in.q, batch, head, first, count, p.dim, s.queries);
  multiply_panels(s.queries, s.keys, s.scores, pitch, count, keys, p.dim);
  HWY_ALIGN float sums[64];
  for (int64_t i = 0; i < count; ++i) {
    float* row = s.scores + i * pitch;
    const int64_t limit = p.causal ? std::min(p.kv_len, first + i + 1) : p.kv_len;
    const int64_t seen = p.has_mask ? keys : limit;
    if (p.has_mask)
      apply_mask(keys, row, p.scale, mask_row(p, call.in.mask, batch, head, first + i),
                 p.mask_strides[3], limit);
    const float high = scale_row(seen, row, p.has_mask ? 1.0f : p.scale);
    sums[i] = exponential_row(seen, row, high);
    std::fill(row + seen, row + keys, 0.0f);
    call.lse[(batch * p.heads + head) * p.q_len + first + i] =
        std::isinf(high) ? high : std::log(sums[i]) + high;
  }
  multiply({s.scores, pitch, 1, s.values, p.v_dim, s.results, p.v_dim, keys, false}, count,
           p.v_dim);
  for (int64_t i = 0; i < count; ++i) {
    const auto scale = hn::Set(Floats(), 1.0f / sums[i]);
    float* row = s.results + i * p.v_dim;
    for_row(p.v_dim,
            [&](auto load, auto store) HWY_ATTR { store(hn::Mul(load(row), scale), row); });
  }
  store_rows(p.dtype, s.results, count, p.v_dim, call.y, p.q_len, p.heads, batch, head, first);
}

void ForwardHead(const ForwardCall& call, const ForwardSpace& s, int64_t batch, int64_t head) {
  const AttentionProblem& p = call.problem;
  const int64_t kv_head = head / (p.heads / p.kv_heads);
  load_rows(p.dtype, call.in.k, batch, kv_head, 0, p.kv_len, p.dim, s.rows);
  turn_to_panels(s.rows, p.kv_len, p.dim, panel_columns(), s.keys);
  load_rows(p.dtype, call.in.v, batch, kv_head, 0, p.kv_len, p.v_dim, s.values);
  const int64_t block = attention_queries(p);
  for (int64_t i = 0; i < p.q_len; i += block)
    forward_block(call, s, batch, head, i, std::min(block, p.q_len - i));
}

int64_t ForwardPanel() { return panel_columns(); }

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(ForwardHead);
HWY_EXPORT(ForwardPanel);

size_t attention_workspace(const AttentionProblem& p) {
  const int64_t slots = parallel_slots(p.batch * p.heads, attention_grain(p));
  return static_cast<size_t>(slots) *
         workspace_bytes<ForwardSpace>(p, HWY_DYNAMIC_DISPATCH(ForwardPanel)());
}

void attention(const AttentionProblem& p, const AttentionInputs& in, void* y, float* lse,
               void* workspace) {
  const int64_t panel = HWY_DYNAMIC_DISPATCH(ForwardPanel)();
  const size_t bytes = workspace_bytes<ForwardSpace>(p, panel);
  const ForwardCall call{p, in, y, lse};
  parallel_for_slots(
      p.batch * p.heads, attention_grain(p), [&](int64_t begin, int64_t end, int64_t slot) {
        Workspace w(static_cast<std::byte*>(workspace) + static_cast<size_t>(slot) * bytes);
        const ForwardSpace space(w, p, panel);
        for (int64_t i = begin; i < end; ++i)
          HWY_DYNAMIC_DISPATCH(ForwardHead)(call, space, i / p.heads, i % p.heads);
      });
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
