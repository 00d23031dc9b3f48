#include "kernels/cpu/complex/elementwise.h"

#include <string>

#include "kernels/cpu/complex/functions.h"
#include "kernels/cpu/complex/strided_map.h"
#include "kernels/cpu/reduce/element.h"
#include "linnet/error.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kCheapGrain = 32768, kDearGrain = 1024;

/// Calls `f` with a zero of the type of the parts.
template <class F>
decltype(auto) visit_parts(DType dtype, F&& f) {
  return dtype == DType::kC64 ? f(float{}) : f(double{});
}

/// What costs so much that it may be called through an address.
template <class T>
using UnaryFunction = Complex<T> (*)(Complex<T>);

template <class T>
UnaryFunction<T> unary_function(ScalarOp op) {
  using C = Complex<T>;
  switch (op) {
    case ScalarOp::kSign:
      return [](C z) { return sign(z); };
    case ScalarOp::kReciprocal:
      return [](C z) { return C(1) / z; };
    case ScalarOp::kSqrt:
      return [](C z) { return std::sqrt(z); };
    case ScalarOp::kRsqrt:
      return [](C z) { return C(1) / std::sqrt(z); };
    case ScalarOp::kExp:
      return [](C z) { return std::exp(z); };
    case ScalarOp::kExp2:
      return [](C z) { return exp2(z); };
    case ScalarOp::kExpm1:
      return [](C z) { return expm1(z); };
    case ScalarOp::kLog:
      return [](C z) { return std::log(z); };
    case ScalarOp::kLog2:
      return [](C z) { return log2(z); };
    case ScalarOp::kLog1p:
      return [](C z) { return log1p(z); };
    case ScalarOp::kSin:
      return [](C z) { return std::sin(z); };
    case ScalarOp::kCos:
      return [](C z) { return std::cos(z); };
    case ScalarOp::kTan:
      return [](C z) { return std::tan(z); };
    case ScalarOp::kAsin:
      return [](C z) { return std::asin(z); };
    case ScalarOp::kAcos:
      return [](C z) { return std::acos(z); };
    case ScalarOp::kAtan:
      return [](C z) { return std::atan(z); };
    case ScalarOp::kSinh:
      return [](C z) { return std::sinh(z); };
    case ScalarOp::kCosh:
      return [](C z) { return std::cosh(z); };
    case ScalarOp::kTanh:
      return [](C z) { return std::tanh(z); };
    case ScalarOp::kAsinh:
      return [](C z) { return std::asinh(z); };
    case ScalarOp::kAcosh:
      return [](C z) { return std::acosh(z); };
    case ScalarOp::kAtanh:
      return [](C z) { return std::atanh(z); };
    case ScalarOp::kLogistic:
      return [](C z) { return C(1) / (C(1) + std::exp(-z)); };
    default:
      return nullptr;
  }
}

template <class T>
using BinaryFunction = Complex<T> (*)(Complex<T>, Complex<T>);

template <class T>
BinaryFunction<T> binary_function(ScalarOp op) {
  using C = Complex<T>;
  switch (op) {
    case ScalarOp::kDiv:
      return [](C a, C b) { return a / b; };
    case ScalarOp::kPow:
      return [](C a, C b) { return power(a, b); };
    case ScalarOp::kTanhGradFromY:
      return [](C y, C ct) { return multiply(ct, C(1) - multiply(y, y)); };
    case ScalarOp::kLogisticGradFromY:
      return [](C y, C ct) { return multiply(ct, multiply(y, C(1) - y)); };
    default:
      return nullptr;
  }
}

template <class T>
bool run_dear(ScalarOp op, double param, std::span<const int64_t> shape,
              std::span<const Operand> in, const Destination& out) {
  using C = Complex<T>;
  if (const UnaryFunction<T> f = unary_function<T>(op)) {
    strided_map<C, C>(shape, in, out, kDearGrain, f);
  } else if (const BinaryFunction<T> g = binary_function<T>(op)) {
    strided_map<C, C, C>(shape, in, out, kDearGrain, g);
  } else if (op == ScalarOp::kIntegerPow) {
    const int64_t exponent = static_cast<int64_t>(param);
    strided_map<C, C>(shape, in, out, kDearGrain, [&](C z) { return integer_pow(z, exponent); });
  } else {
    return false;
  }
  return true;
}

template <class T>
bool run_cheap(ScalarOp op, std::span<const int64_t> shape, std::span<const Operand> in,
               const Destination& out) {
  using C = Complex<T>;
  switch (op) {
    case ScalarOp::kNeg:
      strided_map<C, C>(shape, in, out, kCheapGrain, [](C z) { return -z; });
      return true;
    case ScalarOp::kSquare:
      strided_map<C, C>(shape, in, out, kCheapGrain, [](C z) { return multiply(z, z); });
      return true;
    case ScalarOp::kAdd:
      strided_map<C, C, C>(shape, in, out, kCheapGrain, [](C a, C b) { return a + b; });
      return true;
    case ScalarOp::kSub:
      strided_map<C, C, C>(shape, in, out, kCheapGrain, [](C a, C b) { return a - b; });
      return true;
    case ScalarOp::kMul:
      strided_map<C, C, C>(shape, in, out, kCheapGrain, [](C a, C b) { return multiply(a, b); });
      return true;
    case ScalarOp::kEq:
      strided_map<bool, C, C>(shape, in, out, kCheapGrain, [](C a, C b) { return a == b; });
      return true;
    case ScalarOp::kNe:
      strided_map<bool, C, C>(shape, in, out, kCheapGrain, [](C a, C b) { return a != b; });
      return true;
    case ScalarOp::kSelect:
      strided_map<C, bool, C, C>(shape, in, out, kCheapGrain,
                                 [](bool p, C a, C b) { return p ? a : b; });
      return true;
    default:
      return false;
  }
}

constexpr bool is_cheap(ScalarOp op) {
  return op == ScalarOp::kNeg || op == ScalarOp::kSquare || op == ScalarOp::kAdd ||
         op == ScalarOp::kSub || op == ScalarOp::kMul || op == ScalarOp::kEq ||
         op == ScalarOp::kNe || op == ScalarOp::kSelect;
}

/// From parts of another width, or from a real number.
template <class To>
void cast_to_complex(DType from, std::span<const int64_t> shape, const Operand& in,
                     const Destination& out) {
  if (is_complex(from)) {
    visit_parts(from, [&](auto zero) {
      using C = Complex<decltype(zero)>;
      strided_map<Complex<To>, C>(shape, {&in, 1}, out, kCheapGrain,
                                  [](C z) { return Complex<To>(z); });
    });
    return;
  }
  visit_dtype(from, [&](auto zero) {
    using From = decltype(zero);
    strided_map<Complex<To>, From>(shape, {&in, 1}, out, kCheapGrain,
                                   [](From x) { return Complex<To>(convert_element<To>(x)); });
  });
}

template <class From>
void cast_from_complex(DType to, std::span<const int64_t> shape, const Operand& in,
                       const Destination& out) {
  using C = Complex<From>;
  visit_dtype(to, [&](auto zero) {
    using To = decltype(zero);
    strided_map<To, C>(shape, {&in, 1}, out, kCheapGrain, [](C z) {
      if constexpr (std::is_same_v<To, bool>)
        return z != C(0);
      else
        return convert_element<To>(z.real());
    });
  });
}

}  // namespace

bool supports_complex(ScalarOp op) {
  return is_cheap(op) || op == ScalarOp::kIntegerPow || unary_function<float>(op) ||
         binary_function<float>(op);
}

void complex_elementwise(ScalarOp op, DType dtype, double param, std::span<const int64_t> shape,
                         std::span<const Operand> in, const Destination& out) {
  const bool done = visit_parts(dtype, [&](auto zero) {
    using T = decltype(zero);
    return run_cheap<T>(op, shape, in, out) || run_dear<T>(op, param, shape, in, out);
  });
  if (!done) {
    throw DTypeError(std::string(name_of(op)) + ": element type " + std::string(name_of(dtype)) +
                     " is not accepted");
  }
}

void complex_cast(DType from, DType to, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out) {
  if (from == to) return copy_strided(size_of(from), shape, in, out);
  if (to == DType::kC64) return cast_to_complex<float>(from, shape, in, out);
  if (to == DType::kC128) return cast_to_complex<double>(from, shape, in, out);
  visit_parts(from, [&](auto zero) { cast_from_complex<decltype(zero)>(to, shape, in, out); });
}

void complex_part(ComplexPart part, DType dtype, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out) {
  visit_parts(dtype, [&](auto zero) {
    using T = decltype(zero);
    using C = Complex<T>;
    const std::span<const Operand> one(&in, 1);
    switch (part) {
      case ComplexPart::kReal:
        return strided_map<T, C>(shape, one, out, kCheapGrain, [](C z) { return z.real(); });
      case ComplexPart::kImag:
        return strided_map<T, C>(shape, one, out, kCheapGrain, [](C z) { return z.imag(); });
      case ComplexPart::kConj:
        return strided_map<C, C>(shape, one, out, kCheapGrain, [](C z) { return std::conj(z); });
      case ComplexPart::kAbs:
        return strided_map<T, C>(shape, one, out, kDearGrain,
                                 [](C z) { return std::hypot(z.real(), z.imag()); });
    }
  });
}

void make_complex(DType dtype, std::span<const int64_t> shape, std::span<const Operand> in,
                  const Destination& out) {
  visit_parts(dtype, [&](auto zero) {
    using T = decltype(zero);
    strided_map<Complex<T>, T, T>(shape, in, out, kCheapGrain,
                                  [](T re, T im) { return Complex<T>(re, im); });
  });
}

}  // namespace linnet::cpu
