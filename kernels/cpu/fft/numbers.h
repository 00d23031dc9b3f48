// Complex numbers as transforms need them: factors of unity, and products as written.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <utility>

namespace linnet::cpu {

/// e^(-2πi k / n), from an angle in the first eighth of the circle.
inline std::complex<double> root_of_unity(int64_t k, int64_t n) {
  k %= n;
  const bool lower = 2 * k > n;  // below the real axis before the sign: conjugate of n - k
  if (lower) k = n - k;
  const bool left = 4 * k > n;  // mirrored at the imaginary axis
  const __int128 numerator = left ? __int128{n} - 2 * __int128{k} : 2 * __int128{k};
  // angle = π numerator / n, at most π / 2.
  const bool steep = 4 * numerator > n;
  const double share = steep
                           ? static_cast<double>(n - 2 * numerator) / (2.0 * static_cast<double>(n))
                           : static_cast<double>(numerator) / static_cast<double>(n);
  const double angle = std::numbers::pi * share;
  double cosine = std::cos(angle), sine = std::sin(angle);
  if (steep) std::swap(cosine, sine);
  return {left ? -cosine : cosine, lower ? sine : -sine};
}

/// The same, rounded once.
template <class T>
std::complex<T> root_of(int64_t k, int64_t n) {
  return std::complex<T>(root_of_unity(k, n));
}

template <class T>
std::complex<T> times(std::complex<T> a, std::complex<T> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}
/// z times -i.
template <class T>
std::complex<T> turned(std::complex<T> z) {
  return {z.imag(), -z.real()};
}

}  // namespace linnet::cpu
