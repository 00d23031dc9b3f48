// Element types in kernels: the type arithmetic happens in, and conversions to and from it.
//
//   float16 half = narrow<float16>(widen(a) + widen(b));
#pragma once

#include <limits>
#include <type_traits>

#include "linnet/dtype.h"

namespace linnet::cpu {

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;
template <class T>
inline constexpr bool kIsFloating = std::is_floating_point_v<T> || kIsHalf<T>;

/// The type the arithmetic of T happens in: float for the 16-bit floats, T itself otherwise.
template <class T>
using Wide = std::conditional_t<kIsHalf<T>, float, T>;

template <class T>
Wide<T> widen(T value) {
  return static_cast<Wide<T>>(value);
}

/// Rounds a value of the arithmetic type (or a double) back to the element type.
template <class T, class W>
T narrow(W value) {
  if constexpr (kIsHalf<T>)
    return T(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <class T>
bool is_nan(T value) {
  if constexpr (kIsFloating<T>)
    return widen(value) != widen(value);
  else
    return false;
}

/// Least value of the arithmetic type, the identity of a maximum; -infinity for floats.
template <class W>
constexpr W least_value() {
  if constexpr (std::is_floating_point_v<W>)
    return -std::numeric_limits<W>::infinity();
  else
    return std::numeric_limits<W>::lowest();
}

template <class W>
constexpr W greatest_value() {
  if constexpr (std::is_floating_point_v<W>)
    return std::numeric_limits<W>::infinity();
  else
    return std::numeric_limits<W>::max();
}

/// The greater of two values; NaN wins, as in NumPy.
template <class W>
W maximum(W a, W b) {
  if constexpr (std::is_floating_point_v<W>)
    return (b > a || b != b) ? b : a;
  else
    return b > a ? b : a;
}

template <class W>
W minimum(W a, W b) {
  if constexpr (std::is_floating_point_v<W>)
    return (b < a || b != b) ? b : a;
  else
    return b < a ? b : a;
}

/// a + b without undefined overflow: signed integers wrap.
template <class W>
W wrapping_add(W a, W b) {
  if constexpr (std::is_same_v<W, bool>)
    return a || b;
  else if constexpr (std::is_integral_v<W>)
    return static_cast<W>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}

template <class W>
W wrapping_multiply(W a, W b) {
  if constexpr (std::is_same_v<W, bool>)
    return a && b;
  else if constexpr (std::is_integral_v<W>)
    return static_cast<W>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

/// Converts between two element types: to bool by comparison with zero, float to integer by
/// truncation.
template <class To, class From>
To convert_element(From value) {
  if constexpr (std::is_same_v<To, bool>)
    return widen(value) != Wide<From>(0);
  else
    return narrow<To>(widen(value));
}

}  // namespace linnet::cpu
