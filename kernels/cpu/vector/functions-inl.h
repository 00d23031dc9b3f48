// The scalar functions for the vectors of one instruction set, and the way between Highway's
// vectors and the numbers they are written for.
//
//   const auto y = as_vector(d, exp(as_number(d, hn::LoadU(d, x))));
//
// The include guard toggles, as Highway asks of headers included by dispatched sources.

#if defined(LINNET_CPU_VECTOR_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_CPU_VECTOR_FUNCTIONS_INL_H_
#undef LINNET_CPU_VECTOR_FUNCTIONS_INL_H_
#else
#define LINNET_CPU_VECTOR_FUNCTIONS_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/scalar/library.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu::HWY_NAMESPACE {
#define LINNET_SCALAR HWY_INLINE
#include "kernels/scalar/plain_inl.h"

#include "kernels/cpu/vector/number_inl.h"

#include "kernels/scalar/functions_inl.h"

#if HWY_TARGET == HWY_SCALAR
template <class D>
LINNET_SCALAR hn::TFromD<D> as_number(D, hn::Vec<D> vector) {
  return hn::GetLane(vector);
}
template <class D>
LINNET_SCALAR hn::Vec<D> as_vector(D d, hn::TFromD<D> number) {
  return hn::Set(d, number);
}
#else
template <class D>
LINNET_SCALAR Pack<D> as_number(D, hn::Vec<D> vector) {
  return vector;
}
template <class D>
LINNET_SCALAR hn::Vec<D> as_vector(D, Pack<D> number) {
  return number.raw;
}
#endif
#undef LINNET_SCALAR
}  // namespace linnet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LINNET_CPU_VECTOR_FUNCTIONS_INL_H_
