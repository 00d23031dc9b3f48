// Scalar functions of complex numbers that <complex> does not have, or has for the general case
// only.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <numbers>

namespace linnet::cpu {

template <class T>
using Complex = std::complex<T>;

/// The product as written. That of std::complex looks for infinities after every NaN, as C's Annex
/// G asks for and neither NumPy nor XLA does.
template <class T>
Complex<T> multiply(Complex<T> a, Complex<T> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

/// z / |z|, and 0 at 0.
template <class T>
Complex<T> sign(Complex<T> z) {
  if (z == Complex<T>(0)) return z;
  const T size = std::hypot(z.real(), z.imag());
  return {z.real() / size, z.imag() / size};
}

/// e^z - 1: the real part as (e^x - 1) cos y - 2 sin²(y / 2), where nothing cancels near 0.
template <class T>
Complex<T> expm1(Complex<T> z) {
  const T half = std::sin(z.imag() / 2);
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half * half,
          z.imag() == 0 ? z.imag() : std::exp(z.real()) * std::sin(z.imag())};
}

/// log(1 + z): |1 + z|² - 1 = x (2 + x) + y² where it is small.
template <class T>
Complex<T> log1p(Complex<T> z) {
  const T x = z.real(), y = z.imag();
  const T angle = std::atan2(y, 1 + x);
  if (std::abs(x) + std::abs(y) < T(0.5)) return {std::log1p(x * (2 + x) + y * y) / 2, angle};
  return {std::log(Complex<T>(1 + x, y)).real(), angle};
}

/// By repeated squaring.
template <class T>
Complex<T> integer_pow(Complex<T> z, int64_t exponent) {
  const bool inverse = exponent < 0;
  uint64_t left = inverse ? 0 - static_cast<uint64_t>(exponent) : static_cast<uint64_t>(exponent);
  Complex<T> out(1);
  for (; left; left >>= 1) {
    if (left & 1) out = multiply(out, z);
    if (left > 1) z = multiply(z, z);
  }
  return inverse ? Complex<T>(1) / out : out;
}

/// e^(b log a); a^0 is 1, and 0^b is 0 where the real part of b is positive.
template <class T>
Complex<T> power(Complex<T> a, Complex<T> b) {
  const Complex<T> zero(0);
  if (b == zero) return Complex<T>(1);
  if (a == zero && b.real() > 0) return zero;
  return std::exp(multiply(b, std::log(a)));
}

template <class T>
Complex<T> exp2(Complex<T> z) {
  const T scale = std::exp2(z.real()), angle = z.imag() * std::numbers::ln2_v<T>;
  if (z.imag() == 0) return {scale, z.imag()};
  return {scale * std::cos(angle), scale * std::sin(angle)};
}

template <class T>
Complex<T> log2(Complex<T> z) {
  const Complex<T> natural = std::log(z);
  return {natural.real() * std::numbers::log2e_v<T>, natural.imag() * std::numbers::log2e_v<T>};
}

}  // namespace linnet::cpu
