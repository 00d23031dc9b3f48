// The scalar functions on the device: the texts of kernels/scalar for float, double and integers,
// so that the device computes what the processor computes, and a faster basis for results of 16
// bits.
//
//   float y = scalar::gelu_erf(x);
//   float z = scalar::gelu_erf(scalar::Fast(x)).value;   // to be rounded to 16 bits
//
// Differences to the processor: products are fused with sums, and the functions of library.h are
// CUDA's (1 or 2 units of the last place; lgamma near its zeros more).
#pragma once

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/device/standard.h"
#include "kernels/cuda/device/types.h"

#if !defined(__CUDACC__)
#include <cmath>
#endif

namespace linnet::cuda::library {

#define LINNET_LIBRARY_1(name)                               \
  LINNET_DEVICE float name(float x) { return ::name##f(x); } \
  LINNET_DEVICE double name(double x) { return ::name(x); }
#define LINNET_LIBRARY_2(name)                                           \
  LINNET_DEVICE float name(float x, float y) { return ::name##f(x, y); } \
  LINNET_DEVICE double name(double x, double y) { return ::name(x, y); }
LINNET_LIBRARY_1(sin)
LINNET_LIBRARY_1(cos)
LINNET_LIBRARY_1(tan)
LINNET_LIBRARY_1(asin)
LINNET_LIBRARY_1(acos)
LINNET_LIBRARY_1(atan)
LINNET_LIBRARY_1(cbrt)
LINNET_LIBRARY_1(lgamma)
LINNET_LIBRARY_1(floor)
LINNET_LIBRARY_1(round)
LINNET_LIBRARY_1(log)
LINNET_LIBRARY_2(pow)
LINNET_LIBRARY_2(atan2)
LINNET_LIBRARY_2(fmod)
LINNET_LIBRARY_2(nextafter)
#undef LINNET_LIBRARY_1
#undef LINNET_LIBRARY_2
LINNET_DEVICE float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
LINNET_DEVICE double fma(double a, double b, double c) { return ::fma(a, b, c); }

#define LINNET_SCALAR LINNET_DEVICE
#include "kernels/scalar/digamma_inl.h"
LINNET_DEVICE double digamma(double x) { return digamma_value(x); }
LINNET_DEVICE float digamma(float x) { return static_cast<float>(digamma_value(x)); }

}  // namespace linnet::cuda::library

namespace linnet::cuda::scalar {

#include "kernels/scalar/plain_inl.h"

#include "kernels/cuda/device/fast_inl.h"

#include "kernels/scalar/functions_inl.h"

#include "kernels/scalar/convert_inl.h"

#include "kernels/scalar/half_inl.h"

#undef LINNET_SCALAR

/// A 16-bit format, as half_inl.h wants it.
template <class T>
struct Words {
  static LINNET_DEVICE uint16_t narrow(float x) { return from_float<T>(x).word; }
  static LINNET_DEVICE float widen(uint16_t word) { return to_float(T{word}); }
};

}  // namespace linnet::cuda::scalar
