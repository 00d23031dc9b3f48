#include "kernels/scalar/library.h"

#include <cmath>
#include <limits>

namespace linnet::library {
namespace {

// Recurrence up to x >= 10, then the asymptotic series with Bernoulli numbers B_2k / (2k)
// (NIST DLMF 5.5.2 and 5.11.2); left of 1/2 the reflection formula 5.5.4.
double digamma_value(double x) {
  if (x <= 0 && x == std::floor(x)) return std::numeric_limits<double>::quiet_NaN();
  double result = 0;
  if (x < 0.5) {
    // The tangent has period one here; the reduced argument keeps it accurate.
    const double fraction = x - std::round(x);
    result = -M_PI / std::tan(M_PI * fraction);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  if (std::isinf(x)) return x;
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 -
           z * (1.0 / 120 -
                z * (1.0 / 252 -
                     z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return result + (std::log(x) - 0.5 / x - series);
}

}  // namespace

float sin(float x) { return std::sin(x); }
float cos(float x) { return std::cos(x); }
float tan(float x) { return std::tan(x); }
float asin(float x) { return std::asin(x); }
float acos(float x) { return std::acos(x); }
float atan(float x) { return std::atan(x); }
float cbrt(float x) { return std::cbrt(x); }
// The plain functions also write a global variable with the sign.
float lgamma(float x) {
  int sign;
  return ::lgammaf_r(x, &sign);
}
float digamma(float x) { return static_cast<float>(digamma_value(x)); }
float pow(float x, float y) { return std::pow(x, y); }
float atan2(float y, float x) { return std::atan2(y, x); }
float fmod(float x, float y) { return std::fmod(x, y); }
float nextafter(float x, float y) { return std::nextafter(x, y); }
float fma(float a, float b, float c) { return std::fma(a, b, c); }

double sin(double x) { return std::sin(x); }
double cos(double x) { return std::cos(x); }
double tan(double x) { return std::tan(x); }
double asin(double x) { return std::asin(x); }
double acos(double x) { return std::acos(x); }
double atan(double x) { return std::atan(x); }
double cbrt(double x) { return std::cbrt(x); }
double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
double digamma(double x) { return digamma_value(x); }
double pow(double x, double y) { return std::pow(x, y); }
double atan2(double y, double x) { return std::atan2(y, x); }
double fmod(double x, double y) { return std::fmod(x, y); }
double nextafter(double x, double y) { return std::nextafter(x, y); }
double fma(double a, double b, double c) { return std::fma(a, b, c); }

}  // namespace linnet::library
