// The parts of <type_traits> that the texts of kernels/scalar use, for NVRTC, which has no standard
// headers.
#pragma once

#if !defined(__CUDACC_RTC__)
#include <type_traits>
#else
namespace std {

template <bool condition, class Yes, class No>
struct conditional {
  using type = Yes;
};
template <class Yes, class No>
struct conditional<false, Yes, No> {
  using type = No;
};
template <bool condition, class Yes, class No>
using conditional_t = typename conditional<condition, Yes, No>::type;

template <class A, class B>
inline constexpr bool is_same_v = false;
template <class A>
inline constexpr bool is_same_v<A, A> = true;
template <class T>
inline constexpr bool is_floating_point_v = is_same_v<T, float> || is_same_v<T, double>;

template <class T>
struct integer_pair {
  static constexpr bool exists = false;
};
template <class Signed, class Unsigned>
struct both_signs {
  static constexpr bool exists = true;
  using signed_type = Signed;
  using unsigned_type = Unsigned;
};
template <>
struct integer_pair<bool> {
  static constexpr bool exists = true;
};
template <>
struct integer_pair<signed char> : both_signs<signed char, unsigned char> {};
template <>
struct integer_pair<unsigned char> : both_signs<signed char, unsigned char> {};
template <>
struct integer_pair<short> : both_signs<short, unsigned short> {};
template <>
struct integer_pair<unsigned short> : both_signs<short, unsigned short> {};
template <>
struct integer_pair<int> : both_signs<int, unsigned> {};
template <>
struct integer_pair<unsigned> : both_signs<int, unsigned> {};
template <>
struct integer_pair<long> : both_signs<long, unsigned long> {};
template <>
struct integer_pair<unsigned long> : both_signs<long, unsigned long> {};
template <>
struct integer_pair<long long> : both_signs<long long, unsigned long long> {};
template <>
struct integer_pair<unsigned long long> : both_signs<long long, unsigned long long> {};

template <class T>
inline constexpr bool is_integral_v = integer_pair<T>::exists;
template <class T>
using make_signed_t = typename integer_pair<T>::signed_type;
template <class T>
using make_unsigned_t = typename integer_pair<T>::unsigned_type;

}  // namespace std
#endif
