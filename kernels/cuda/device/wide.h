// The type that arithmetic of an element type happens in: float for 16 bits, the type itself
// otherwise.
//
//   const Wide<T> y = to_wide(x[i]) * 2;
//   out[i] = from_wide<T>(y);
#pragma once

#include "kernels/cuda/device/types.h"

namespace linnet::cuda {

template <class T>
struct WideType {
  using type = T;
};
template <>
struct WideType<Bf16> {
  using type = float;
};
template <>
struct WideType<Half> {
  using type = float;
};
template <class T>
using Wide = typename WideType<T>::type;

template <class T>
inline constexpr bool kIsHalf = false;
template <>
inline constexpr bool kIsHalf<Bf16> = true;
template <>
inline constexpr bool kIsHalf<Half> = true;

template <class T>
LINNET_DEVICE Wide<T> to_wide(T x) {
  if constexpr (kIsHalf<T>)
    return to_float(x);
  else
    return x;
}
template <class T>
LINNET_DEVICE T from_wide(Wide<T> x) {
  if constexpr (kIsHalf<T>)
    return from_float<T>(x);
  else
    return x;
}

template <class W>
LINNET_DEVICE W infinity() {
  return static_cast<W>(__builtin_huge_val());
}
template <class W>
LINNET_DEVICE W not_a_number() {
  return static_cast<W>(__builtin_nan(""));
}
/// Also of NaN: false.
template <class W>
LINNET_DEVICE bool is_infinite(W x) {
  return x == infinity<W>() || x == -infinity<W>();
}

}  // namespace linnet::cuda
