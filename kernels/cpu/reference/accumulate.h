// The type in which the reference kernels multiply and add, and how results leave it.
#pragma once

#include <type_traits>

#include "kernels/cpu/reduce/element.h"

namespace linnet::cpu {

/// float for f16, bf16 and f32; double for f64; wrapping 64-bit integers for integers and bool.
template <class T>
using ProductAccumulator =
    std::conditional_t<kIsFloating<T>, std::conditional_t<std::is_same_v<T, double>, double, float>,
                       uint64_t>;

/// Signed elements are extended, so that wrapped products and sums are exact modulo 2^64.
template <class T>
ProductAccumulator<T> lift_product(T value) {
  if constexpr (kIsFloating<T>)
    return static_cast<ProductAccumulator<T>>(widen(value));
  else
    return static_cast<uint64_t>(static_cast<int64_t>(value));
}

/// Converts an accumulated value of operands of type T to the element type of the result.
template <class To, class T>
To lower_product(ProductAccumulator<T> value) {
  if constexpr (std::is_same_v<To, bool>)
    return value != ProductAccumulator<T>(0);
  else if constexpr (kIsFloating<T>)
    return narrow<To>(value);
  else if constexpr (kIsFloating<To> && std::is_signed_v<T>)
    return narrow<To>(static_cast<double>(static_cast<int64_t>(value)));
  else if constexpr (kIsFloating<To>)
    return narrow<To>(static_cast<double>(value));
  else
    return static_cast<To>(value);
}

}  // namespace linnet::cpu
