#include "kernels/scalar/library.h"

#include <cmath>

namespace linnet::library {
namespace {

using std::floor;
using std::log;
using std::round;
using std::tan;
#define LINNET_SCALAR inline
#include "kernels/scalar/digamma_inl.h"
#undef LINNET_SCALAR

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
