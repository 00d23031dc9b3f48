// Small vector helpers, compiled once per instruction set: ends of rows and folds over lanes.
// The include guard toggles, as Highway asks of headers included by dispatched sources.

#if defined(LINNET_CPU_VECTOR_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_CPU_VECTOR_ROWS_INL_H_
#undef LINNET_CPU_VECTOR_ROWS_INL_H_
#else
#define LINNET_CPU_VECTOR_ROWS_INL_H_
#endif

#include <cstdint>
#include <cstring>
#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using VectorOf = hn::Vec<D>;

/// Loads `count` < lanes values and fills the rest of the vector with `fill`. Reads nothing beyond.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE VectorOf<D> load_part(D d, const T* from, int64_t count, T fill) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN T buffer[hn::MaxLanes(D())];
  hn::Store(hn::Set(d, fill), d, buffer);
  std::memcpy(buffer, from, static_cast<size_t>(count) * sizeof(T));
  return hn::Load(d, buffer);
#else
  const auto mask = hn::FirstN(d, static_cast<size_t>(count));
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, from), hn::Set(d, fill));
#endif
}

/// Stores the first `count` < lanes values.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_part(D d, VectorOf<D> value, T* to, int64_t count) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN T buffer[hn::MaxLanes(D())];
  hn::Store(value, d, buffer);
  std::memcpy(to, buffer, static_cast<size_t>(count) * sizeof(T));
#else
  hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#endif
}

/// The greater value per lane; NaN in either operand wins.
template <class V>
HWY_INLINE V max_with_nan(V accumulated, V value) {
  return hn::IfThenElse(hn::Or(hn::Gt(value, accumulated), hn::IsNaN(value)), value, accumulated);
}

template <class V>
HWY_INLINE V min_with_nan(V accumulated, V value) {
  return hn::IfThenElse(hn::Or(hn::Lt(value, accumulated), hn::IsNaN(value)), value, accumulated);
}

template <class D>
HWY_INLINE hn::TFromD<D> sum_lanes(D d, VectorOf<D> value) {
  return hn::GetLane(hn::SumOfLanes(d, value));
}

template <class D>
HWY_INLINE hn::TFromD<D> max_lanes_with_nan(D d, VectorOf<D> value) {
  if (!hn::AllFalse(d, hn::IsNaN(value))) return std::numeric_limits<hn::TFromD<D>>::quiet_NaN();
  return hn::GetLane(hn::MaxOfLanes(d, value));
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#endif  // LINNET_CPU_VECTOR_ROWS_INL_H_
