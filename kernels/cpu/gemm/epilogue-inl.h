// Vectorised activations of epilogues. Included once per instruction set.
#if defined(LINNET_GEMM_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_GEMM_EPILOGUE_INL_H_
#undef LINNET_GEMM_EPILOGUE_INL_H_
#else
#define LINNET_GEMM_EPILOGUE_INL_H_
#endif

#include <cmath>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/gemm/activation.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::gemm_kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE V logistic(D d, V x) {
  // e^-|x| never overflows; the two branches of the sign share it.
  const V e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  const V one = hn::Set(d, 1.0f);
  const V upper = hn::Div(one, hn::Add(one, e));
  const V result = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(e, upper), upper);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

template <class D, class V>
HWY_INLINE V hyperbolic_tangent(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(d, x));
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: |error| <= 1.5e-7.
template <class D, class V>
HWY_INLINE V error_function(D d, V x) {
  const V magnitude = hn::Min(hn::Abs(x), hn::Set(d, 6.0f));
  const V one = hn::Set(d, 1.0f);
  const V t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), magnitude, one));
  V sum = hn::MulAdd(hn::Set(d, 1.061405429f), t, hn::Set(d, -1.453152027f));
  sum = hn::MulAdd(sum, t, hn::Set(d, 1.421413741f));
  sum = hn::MulAdd(sum, t, hn::Set(d, -0.284496736f));
  sum = hn::MulAdd(sum, t, hn::Set(d, 0.254829592f));
  const V tail = hn::Mul(hn::Mul(sum, t), hn::Exp(d, hn::Neg(hn::Mul(magnitude, magnitude))));
  return hn::CopySign(hn::Sub(one, tail), x);
}

template <class D, class V>
HWY_INLINE V gelu_tanh(D d, V x) {
  const V cubic = hn::MulAdd(hn::Mul(hn::Set(d, 0.044715f), hn::Mul(x, x)), x, x);
  const V t = hyperbolic_tangent(d, hn::Mul(hn::Set(d, 0.7978845608f), cubic));
  const V half = hn::Mul(hn::Set(d, 0.5f), x);
  return hn::MulAdd(half, t, half);
}

template <class D, class V>
HWY_INLINE V gelu_erf(D d, V x) {
  const V half = hn::Mul(hn::Set(d, 0.5f), x);
  const V erf = error_function(d, hn::Mul(hn::Set(d, 0.7071067812f), x));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::MulAdd(half, erf, half));
}

template <class D, class V>
HWY_INLINE V activate(D d, V x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return hn::Max(hn::Zero(d), x);
    case Activation::kGeluTanh:
      return gelu_tanh(d, x);
    case Activation::kGeluErf:
      return gelu_erf(d, x);
    case Activation::kSilu:
      return hn::Mul(x, logistic(d, x));
    case Activation::kTanh:
      return hyperbolic_tangent(d, x);
    case Activation::kLogistic:
      break;
  }
  return logistic(d, x);
}

/// values[j] = activation(values[j]) + residual[j]; `residual` may be null.
inline void activate_row(float* values, const float* residual, int64_t count,
                         Activation activation) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < count; j += lanes) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(count - j < lanes ? count - j : lanes));
    auto x = activate(d, hn::MaskedLoad(mask, d, values + j), activation);
    if (residual) x = hn::Add(x, hn::MaskedLoad(mask, d, residual + j));
    hn::BlendedStore(x, mask, d, values + j);
  }
}

inline double activate_scalar(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-0.70710678118654752440 * x);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kLogistic:
      break;
  }
  return 1 / (1 + std::exp(-x));
}

// The accuracy of f64 is that of the C library; products of f64 are not where time is spent.
inline void activate_row(double* values, const double* residual, int64_t count,
                         Activation activation) {
  for (int64_t j = 0; j < count; ++j) {
    values[j] = activate_scalar(values[j], activation) + (residual ? residual[j] : 0.0);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu::gemm_kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
