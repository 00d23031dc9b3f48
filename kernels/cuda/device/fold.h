// How elements combine: the type of partial results, and operations with their identities.
//
//   using A = Accumulator<T>;
//   A total = fold_identity<T>(Fold::kSum);
//   total = fold(Fold::kSum, total, to_accumulator(x[i]));
//   y[0] = from_accumulator<T>(total);
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/wide.h"

namespace linnet::cuda {

template <class T>
struct AccumulatorType {
  using type = Wide<T>;
};
// Shuffles move words of four bytes.
template <>
struct AccumulatorType<int8_t> {
  using type = int32_t;
};
template <>
struct AccumulatorType<int16_t> {
  using type = int32_t;
};
template <>
struct AccumulatorType<uint8_t> {
  using type = uint32_t;
};
template <>
struct AccumulatorType<uint16_t> {
  using type = uint32_t;
};
template <class T>
using Accumulator = typename AccumulatorType<T>::type;

template <class T>
LINNET_DEVICE Accumulator<T> to_accumulator(T x) {
  return static_cast<Accumulator<T>>(to_wide(x));
}
template <class T>
LINNET_DEVICE T from_accumulator(Accumulator<T> x) {
  if constexpr (kIsHalf<T>)
    return from_wide<T>(x);
  else
    return static_cast<T>(x);
}

template <class T>
inline constexpr bool kIsFloat = static_cast<T>(0.5) != static_cast<T>(0);
template <>
inline constexpr bool kIsFloat<Bf16> = true;
template <>
inline constexpr bool kIsFloat<Half> = true;

/// The least value of a type, in its accumulator; -infinity of floats.
template <class T>
LINNET_DEVICE Accumulator<T> least_value() {
  if constexpr (kIsFloat<T>)
    return -infinity<Accumulator<T>>();
  else if constexpr (static_cast<T>(-1) < static_cast<T>(0))
    return static_cast<T>(uint64_t{1} << (8 * sizeof(T) - 1));
  else
    return 0;
}
template <class T>
LINNET_DEVICE Accumulator<T> greatest_value() {
  if constexpr (kIsFloat<T>)
    return infinity<Accumulator<T>>();
  else
    return static_cast<T>(~least_value<T>());
}

template <class T>
LINNET_DEVICE Accumulator<T> fold_identity(Fold kind) {
  if (kind == Fold::kSum) return Accumulator<T>(0);
  if (kind == Fold::kProd) return Accumulator<T>(1);
  return kind == Fold::kMax ? least_value<T>() : greatest_value<T>();
}

template <class A>
LINNET_DEVICE A fold_sum(A a, A b) {
  if constexpr (kIsFloat<A>)
    return a + b;
  else
    return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <class A>
LINNET_DEVICE A fold_product(A a, A b) {
  if constexpr (kIsFloat<A>)
    return a * b;
  else
    return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
/// Whether `b` takes the place of `a`: it is better, or the first NaN.
template <class A>
LINNET_DEVICE bool beats(bool maximum, A b, A a) {
  const bool better = maximum ? b > a : b < a;
  if constexpr (kIsFloat<A>)
    return better || (b != b && a == a);
  else
    return better;
}

template <class A>
LINNET_DEVICE A fold(Fold kind, A a, A b) {
  if (kind == Fold::kSum) return fold_sum(a, b);
  if (kind == Fold::kProd) return fold_product(a, b);
  return beats(kind == Fold::kMax, b, a) ? b : a;
}

/// An operation that is known when the kernel is compiled.
template <Fold kKind>
struct FixedFold {
  template <class A>
  LINNET_DEVICE A operator()(A a, A b) const {
    return fold(kKind, a, b);
  }
  template <class T>
  LINNET_DEVICE Accumulator<T> identity() const {
    return fold_identity<T>(kKind);
  }
};
/// One that the launch tells.
struct GivenFold {
  Fold kind;
  template <class A>
  LINNET_DEVICE A operator()(A a, A b) const {
    return fold(kind, a, b);
  }
  template <class T>
  LINNET_DEVICE Accumulator<T> identity() const {
    return fold_identity<T>(kind);
  }
};

}  // namespace linnet::cuda
