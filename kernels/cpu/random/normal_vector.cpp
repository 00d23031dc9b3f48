#include "kernels/cpu/random/normal_vector.h"

#include "kernels/cpu/vector/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random/normal_vector.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"
#include "kernels/cpu/vector/functions-inl.h"
#include "kernels/cpu/vector/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;

HWY_INLINE VF erf_inv_of(VF x) {
  const F d;
  return as_vector(d, erf_inv(as_number(d, x)));
}

HWY_INLINE VF uniform(hn::Vec<hn::RebindToUnsigned<F>> bits, VF low, VF span) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  const auto mantissa = hn::Or(hn::ShiftRight<9>(bits), hn::Set(du, 0x3F800000u));
  const VF unit = hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f));
  return hn::Max(low, as_vector(d, fma(as_number(d, unit), as_number(d, span), as_number(d, low))));
}

void ErfInv(int64_t count, const float* x, float* out) {
  const F d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(erf_inv_of(hn::LoadU(d, x + i)), d, out + i);
  if (i < count)
    store_part(d, erf_inv_of(load_part(d, x + i, count - i, 0.0f)), out + i, count - i);
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
    const VF normal = hn::Mul(root2, erf_inv_of(uniform(words, lows, spans)));
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
