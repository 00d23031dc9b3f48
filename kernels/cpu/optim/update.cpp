#include "kernels/cpu/optim/update.h"

#include "kernels/cpu/optim/sgd_buffers.h"

#include <cmath>

#include "kernels/cpu/vector/targets.h"
#include "linnet/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optim/update.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct AdamWStep {
  AdamWSettings s;

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, V gradient, V& p, V& m, V& v) const {
    const V g = hn::Mul(gradient, hn::Set(d, s.gradient_scale));
    m = hn::Add(hn::Mul(hn::Set(d, s.b1_complement), g), hn::Mul(hn::Set(d, s.b1), m));
    v = hn::Add(hn::Mul(hn::Set(d, s.b2_complement), hn::Mul(g, g)), hn::Mul(hn::Set(d, s.b2), v));
    const V first = hn::Div(m, hn::Set(d, s.first_correction));
    const V second = hn::Div(v, hn::Set(d, s.second_correction));
    const V root = hn::Sqrt(hn::Add(second, hn::Set(d, s.epsilon_root)));
    const V step = hn::Div(first, hn::Add(root, hn::Set(d, s.epsilon)));
    const V decayed = hn::Add(step, hn::Mul(hn::Set(d, s.weight_decay), p));
    p = hn::Sub(p, hn::Mul(hn::Set(d, s.learning_rate), decayed));
  }
};

template <class D>
HWY_INLINE void adamw_at(D d, int64_t i, const AdamWInputs& in, const AdamWOutputs& out,
                         const AdamWStep& step) {
  auto p = hn::LoadU(d, in.param + i);
  auto m = hn::LoadU(d, in.first_moment + i);
  auto v = hn::LoadU(d, in.second_moment + i);
  step(d, hn::LoadU(d, in.gradient + i), p, m, v);
  hn::StoreU(p, d, out.param + i);
  hn::StoreU(m, d, out.first_moment + i);
  hn::StoreU(v, d, out.second_moment + i);
}

void AdamW(int64_t begin, int64_t end, const AdamWInputs& in, const AdamWOutputs& out,
           const AdamWSettings& settings) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const AdamWStep step{settings};
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) adamw_at(d, i, in, out, step);
  for (; i < end; ++i) adamw_at(one, i, in, out, step);
}

template <class D>
HWY_INLINE void sgd_at(D d, int64_t i, const SgdBuffers& b, const SgdSettings& s) {
  const auto p = hn::LoadU(d, b.param + i);
  const auto scaled = hn::Mul(hn::LoadU(d, b.gradient + i), hn::Set(d, s.gradient_scale));
  const auto g = hn::Add(scaled, hn::Mul(hn::Set(d, s.weight_decay), p));
  auto step = g;
  if (b.trace) {
    const auto momentum = hn::Set(d, s.momentum);
    const auto trace = hn::Add(g, hn::Mul(momentum, hn::LoadU(d, b.trace + i)));
    hn::StoreU(trace, d, b.trace_out + i);
    step = s.nesterov ? hn::Add(g, hn::Mul(momentum, trace)) : trace;
  }
  hn::StoreU(hn::Sub(p, hn::Mul(hn::Set(d, s.learning_rate), step)), d, b.param_out + i);
}

void Sgd(int64_t begin, int64_t end, const SgdBuffers& buffers, const SgdSettings& settings) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) sgd_at(d, i, buffers, settings);
  for (; i < end; ++i) sgd_at(one, i, buffers, settings);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {
namespace {

constexpr int64_t kGrain = 16384;

}  // namespace

HWY_EXPORT(AdamW);
HWY_EXPORT(Sgd);

void adamw_update(int64_t count, const AdamWInputs& in, const AdamWOutputs& out,
                  const AdamWSettings& settings) {
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AdamW)(begin, end, in, out, settings);
  });
}

void sgd_update(int64_t count, const float* param, const float* gradient, const float* trace,
                float* param_out, float* trace_out, const SgdSettings& settings) {
  const SgdBuffers buffers{param, gradient, trace, param_out, trace_out};
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Sgd)(begin, end, buffers, settings);
  });
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
