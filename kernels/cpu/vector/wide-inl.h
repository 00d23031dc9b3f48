// Loads and stores as the type that numbers are computed in: bf16 as f32. Included once per
// instruction set.
#if defined(LINNET_CPU_VECTOR_WIDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_CPU_VECTOR_WIDE_INL_H_
#undef LINNET_CPU_VECTOR_WIDE_INL_H_
#else
#define LINNET_CPU_VECTOR_WIDE_INL_H_
#endif

#include <cstring>
#include <type_traits>

#include "hwy/highway.h"
#include "linnet/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// What T is computed in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

template <class D>
HWY_INLINE hn::Vec<D> widen(D d, const bfloat16* p) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  const auto bits = hn::PromoteTo(wide, hn::LoadU(narrow, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

/// Rounds to nearest even. The upper half of a NaN may have no bit of the payload, so one is set.
template <class D>
HWY_INLINE void narrow_to(D, hn::Vec<D> value, bfloat16* p) {
  const hn::RebindToUnsigned<D> wide;
  const auto bits = hn::BitCast(wide, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(wide, 0x00400000u));
  const auto result = hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(value)), quiet, rounded);
  // The values fit into 16 bits, so that the saturation of DemoteTo changes nothing.
  const hn::RebindToSigned<D> wide_signed;
  const hn::Rebind<uint16_t, D> narrow;
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(wide_signed, hn::ShiftRight<16>(result))), narrow,
             reinterpret_cast<uint16_t*>(p));
}

/// A full vector, or with kPartial its first `count` lanes.
template <bool kPartial, class D, class T>
HWY_INLINE hn::Vec<D> load(D d, const T* p, int64_t count) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    if constexpr (!kPartial) return widen(d, p);
    bfloat16 buffer[HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(buffer, p, static_cast<size_t>(count) * sizeof(T));
    return widen(d, buffer);
  } else {
    if constexpr (!kPartial) return hn::LoadU(d, p);
    return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, p);
  }
}

template <bool kPartial, class D, class T>
HWY_INLINE void store(D d, hn::Vec<D> value, T* p, int64_t count) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    if constexpr (!kPartial) return narrow_to(d, value, p);
    bfloat16 buffer[HWY_MAX_BYTES / sizeof(float)];
    narrow_to(d, value, buffer);
    std::memcpy(p, buffer, static_cast<size_t>(count) * sizeof(T));
  } else {
    if constexpr (!kPartial) return hn::StoreU(value, d, p);
    hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(count)), d, p);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
