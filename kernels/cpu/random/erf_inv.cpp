#include "kernels/cpu/random/erf_inv.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/reduce/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random/erf_inv.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/reduce/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;

// a * b + c with one rounding on every instruction set: the bits of the samplers depend on it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V fused(D d, V a, V b, V c) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulAdd(a, b, c);
#else
  using T = hn::TFromD<D>;
  HWY_ALIGN T x[hn::MaxLanes(D())], y[hn::MaxLanes(D())], z[hn::MaxLanes(D())];
  hn::Store(a, d, x);
  hn::Store(b, d, y);
  hn::Store(c, d, z);
  for (size_t i = 0; i < hn::Lanes(d); ++i) x[i] = std::fma(x[i], y[i], z[i]);
  return hn::Load(d, x);
#endif
}

// log(1 + y) for y in (-1, 0], y exact in double, to about 2^-45 relative. With s = f / (2 + f),
// log(1 + f) = 2 (s + s^3/3 + s^5/5 + ...). Near zero f is y itself, so nothing cancels; further
// out 1 + y is split into 2^k m with m near 1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log1p_negative(D d, V y) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0), two = hn::Set(d, 2.0);
  const auto bits = hn::BitCast(du, hn::Add(one, y));
  const auto root_half = hn::Set(du, 0x3FE6A09E667F3BCDull);
  const auto exponent = hn::ShiftRight<52>(hn::BitCast(di, hn::Sub(bits, root_half)));
  const V m = hn::BitCast(d, hn::Sub(bits, hn::BitCast(du, hn::ShiftLeft<52>(exponent))));
  const V k = hn::ConvertTo(d, exponent);
  const V f = hn::IfThenElse(hn::Eq(k, hn::Zero(d)), y, hn::Sub(m, one));
  const V s = hn::Div(f, hn::Add(two, f));
  const V square = hn::Mul(s, s);
  V series = hn::Set(d, 1.0 / 21);
  for (double term :
       {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3}) {
    series = hn::MulAdd(series, square, hn::Set(d, term));
  }
  const V log_m = hn::Mul(two, hn::MulAdd(hn::Mul(s, square), series, s));
  return hn::MulAdd(k, hn::Set(d, 0.693147180559945309417), log_m);
}

HWY_INLINE VF log1p_f32(VF y) {
  const F d;
  const hn::ScalableTag<double> wide;
#if HWY_TARGET == HWY_SCALAR
  return hn::DemoteTo(d, log1p_negative(wide, hn::PromoteTo(wide, y)));
#else
  const hn::Half<F> half;
  const auto low = log1p_negative(wide, hn::PromoteTo(wide, hn::LowerHalf(half, y)));
  const auto high = log1p_negative(wide, hn::PromoteTo(wide, hn::UpperHalf(half, y)));
  return hn::Combine(d, hn::DemoteTo(half, high), hn::DemoteTo(half, low));
#endif
}

HWY_INLINE VF erf_inv(VF x) {
  constexpr float kCentral[] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                                -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                                -0.00417768164f,  0.246640727f,    1.50140941f};
  constexpr float kTail[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                             -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                             0.00943887047f,   1.00167406f,     2.83297682f};
  const F d;
  const VF w = hn::Neg(log1p_f32(hn::Neg(hn::Mul(x, x))));
  const auto central = hn::Lt(w, hn::Set(d, 5.0f));
  const VF t =
      hn::IfThenElse(central, hn::Sub(w, hn::Set(d, 2.5f)), hn::Sub(hn::Sqrt(w), hn::Set(d, 3.0f)));
  VF p = hn::IfThenElse(central, hn::Set(d, kCentral[0]), hn::Set(d, kTail[0]));
  for (int i = 1; i < 9; ++i) {
    p = fused(d, p, t, hn::IfThenElse(central, hn::Set(d, kCentral[i]), hn::Set(d, kTail[i])));
  }
  const auto edge = hn::Eq(hn::Abs(x), hn::Set(d, 1.0f));
  const VF infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  return hn::Mul(hn::IfThenElse(edge, infinity, p), x);
}

HWY_INLINE VF uniform(hn::Vec<hn::RebindToUnsigned<F>> bits, VF low, VF span) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  const auto mantissa = hn::Or(hn::ShiftRight<9>(bits), hn::Set(du, 0x3F800000u));
  const VF unit = hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f));
  return hn::Max(low, fused(d, unit, span, low));
}

void ErfInv(int64_t count, const float* x, float* out) {
  const F d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(erf_inv(hn::LoadU(d, x + i)), d, out + i);
  if (i < count) store_part(d, erf_inv(load_part(d, x + i, count - i, 0.0f)), out + i, count - i);
}

void UniformFromBits(int64_t count, const uint32_t* bits, float low, float span, float* out) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  const VF lows = hn::Set(d, low), spans = hn::Set(d, span);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(uniform(hn::LoadU(du, bits + i), lows, spans), d, out + i);
  if (i < count)
    store_part(d, uniform(load_part(du, bits + i, count - i, 0u), lows, spans), out + i, count - i);
}

void NormalFromBits(int64_t count, const uint32_t* bits, float low, float span, float least,
                    float most, float* out) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  const VF lows = hn::Set(d, low), spans = hn::Set(d, span), root2 = hn::Set(d, 1.41421354f);
  const VF leasts = hn::Set(d, least), mosts = hn::Set(d, most);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < count; i += lanes) {
    const bool whole = i + lanes <= count;
    const auto words = whole ? hn::LoadU(du, bits + i) : load_part(du, bits + i, count - i, 0u);
    const VF normal = hn::Mul(root2, erf_inv(uniform(words, lows, spans)));
    const VF clamped = hn::Min(hn::Max(normal, leasts), mosts);
    if (whole)
      hn::StoreU(clamped, d, out + i);
    else
      store_part(d, clamped, out + i, count - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {

HWY_EXPORT(ErfInv);
HWY_EXPORT(UniformFromBits);
HWY_EXPORT(NormalFromBits);

void erf_inv_f32(int64_t count, const float* x, float* out) {
  HWY_DYNAMIC_DISPATCH(ErfInv)(count, x, out);
}
void uniform_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float* out) {
  HWY_DYNAMIC_DISPATCH(UniformFromBits)(count, bits, low, span, out);
}
void normal_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float least,
                          float most, float* out) {
  HWY_DYNAMIC_DISPATCH(NormalFromBits)(count, bits, low, span, least, most, out);
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
