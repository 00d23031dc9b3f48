#include "core/ops/scalar_primitives.h"

#include <limits>
#include <numbers>

#include "core/ops/elementwise.h"
#include "core/ops/trigamma.h"
#include "linnet/complex.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

using Partials = TensorList (*)(const NoParams&, Inputs, Outputs);

/// A function of real and complex numbers whose derivative is written in its argument.
const Primitive& from_input(const char* name, Partials partials) {
  return define(Elementwise<NoParams>{
      .name = name, .arity = 1, .partials = partials, .saves_outputs = 0, .complex = true});
}
/// The same of real numbers only.
const Primitive& from_real_input(const char* name, Partials partials) {
  return define(
      Elementwise<NoParams>{.name = name, .arity = 1, .partials = partials, .saves_outputs = 0});
}
/// A function of real and complex numbers whose derivative is written in its value.
const Primitive& from_output(const char* name, Partials partials) {
  return define(Elementwise<NoParams>{
      .name = name, .arity = 1, .partials = partials, .saves_inputs = 0, .complex = true});
}
/// The same of real numbers only.
const Primitive& from_real_output(const char* name, Partials partials) {
  return define(
      Elementwise<NoParams>{.name = name, .arity = 1, .partials = partials, .saves_inputs = 0});
}
const Primitive& stepwise(const char* name) {
  return define(Elementwise<NoParams>{.name = name, .arity = 1, .zero_derivative = true});
}

constexpr double kTwoOverSqrtPi = 2 * std::numbers::inv_sqrtpi;

}  // namespace

/// `name_primitive()`, made by `kind` from a derivative written in the argument x or the value y.
#define LINNET_FUNCTION_PRIMITIVE(function, kind, derivative)                                 \
  const Primitive& function##_primitive() {                                                   \
    static const Primitive& p = kind(#function, [](const NoParams&, Inputs in, Outputs out) { \
      [[maybe_unused]] const Tensor& x = in[0];                                               \
      [[maybe_unused]] const Tensor& y = out[0];                                              \
      return TensorList{derivative};                                                          \
    });                                                                                       \
    return p;                                                                                 \
  }
LINNET_FUNCTION_PRIMITIVE(exp, from_output, y)
LINNET_FUNCTION_PRIMITIVE(exp2, from_output, y* std::numbers::ln2)
LINNET_FUNCTION_PRIMITIVE(expm1, from_output, y + 1)
LINNET_FUNCTION_PRIMITIVE(log, from_input, reciprocal(x))
LINNET_FUNCTION_PRIMITIVE(log2, from_input, std::numbers::log2e / x)
LINNET_FUNCTION_PRIMITIVE(log1p, from_input, reciprocal(x + 1))
LINNET_FUNCTION_PRIMITIVE(sqrt, from_output, 0.5 / y)
LINNET_FUNCTION_PRIMITIVE(cbrt, from_real_output, reciprocal(3 * square(y)))
LINNET_FUNCTION_PRIMITIVE(sin, from_input, cos(x))
LINNET_FUNCTION_PRIMITIVE(cos, from_input, neg(sin(x)))
LINNET_FUNCTION_PRIMITIVE(tan, from_output, square(y) + 1)
LINNET_FUNCTION_PRIMITIVE(asin, from_input, rsqrt((1 - x) * (1 + x)))
LINNET_FUNCTION_PRIMITIVE(acos, from_input, neg(rsqrt((1 - x) * (1 + x))))
LINNET_FUNCTION_PRIMITIVE(atan, from_input, reciprocal(square(x) + 1))
LINNET_FUNCTION_PRIMITIVE(sinh, from_input, cosh(x))
LINNET_FUNCTION_PRIMITIVE(cosh, from_input, sinh(x))
LINNET_FUNCTION_PRIMITIVE(asinh, from_input, rsqrt(square(x) + 1))
LINNET_FUNCTION_PRIMITIVE(acosh, from_input, rsqrt((x - 1) * (x + 1)))
LINNET_FUNCTION_PRIMITIVE(atanh, from_input, reciprocal((1 - x) * (1 + x)))
LINNET_FUNCTION_PRIMITIVE(erf, from_real_input, kTwoOverSqrtPi* exp(neg(square(x))))
LINNET_FUNCTION_PRIMITIVE(erfc, from_real_input, -kTwoOverSqrtPi* exp(neg(square(x))))
LINNET_FUNCTION_PRIMITIVE(erf_inv, from_real_output, (1 / kTwoOverSqrtPi) * exp(square(y)))
LINNET_FUNCTION_PRIMITIVE(lgamma, from_real_input, digamma(x))
LINNET_FUNCTION_PRIMITIVE(digamma, from_real_input, trigamma(x))
#undef LINNET_FUNCTION_PRIMITIVE

const Primitive& rsqrt_primitive() {
  static const Primitive& p = define(
      Elementwise<NoParams>{.name = "rsqrt",
                            .arity = 1,
                            .partials = [](const NoParams&, Inputs x,
                                           Outputs y) { return TensorList{-0.5 * y[0] / x[0]}; },
                            .complex = true});
  return p;
}

const Primitive& tanh_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "tanh",
      .arity = 1,
      .partials = [](const NoParams&, Inputs, Outputs y) { return TensorList{1 - square(y[0])}; },
      .vjp =
          [](const NoParams&, Inputs, Outputs y, const Tensor& ct) {
            return TensorList{emit_one(tanh_grad_from_y_primitive(), {y[0], ct})};
          },
      .saves_inputs = 0,
      .complex = true});
  return p;
}

const Primitive& tanh_grad_from_y_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "tanh_grad_from_y",
                                   .arity = 2,
                                   .partials =
                                       [](const NoParams&, Inputs x, Outputs) {
                                         return TensorList{-2 * x[0] * x[1], 1 - square(x[0])};
                                       },
                                   .saves_outputs = 0,
                                   .complex = true});
  return p;
}

const Primitive& floor_primitive() {
  static const Primitive& p = stepwise("floor");
  return p;
}
const Primitive& ceil_primitive() {
  static const Primitive& p = stepwise("ceil");
  return p;
}
const Primitive& round_primitive() {
  static const Primitive& p = stepwise("round");
  return p;
}
const Primitive& trunc_primitive() {
  static const Primitive& p = stepwise("trunc");
  return p;
}

Tensor exp(const Tensor& x) { return emit_floating(exp_primitive(), x); }
Tensor exp2(const Tensor& x) { return emit_floating(exp2_primitive(), x); }
Tensor expm1(const Tensor& x) { return emit_floating(expm1_primitive(), x); }
Tensor log(const Tensor& x) { return emit_floating(log_primitive(), x); }
Tensor log2(const Tensor& x) { return emit_floating(log2_primitive(), x); }
Tensor log1p(const Tensor& x) { return emit_floating(log1p_primitive(), x); }
Tensor sqrt(const Tensor& x) { return emit_floating(sqrt_primitive(), x); }
Tensor rsqrt(const Tensor& x) { return emit_floating(rsqrt_primitive(), x); }
Tensor cbrt(const Tensor& x) { return emit_floating(cbrt_primitive(), x); }
Tensor sin(const Tensor& x) { return emit_floating(sin_primitive(), x); }
Tensor cos(const Tensor& x) { return emit_floating(cos_primitive(), x); }
Tensor tan(const Tensor& x) { return emit_floating(tan_primitive(), x); }
Tensor asin(const Tensor& x) { return emit_floating(asin_primitive(), x); }
Tensor acos(const Tensor& x) { return emit_floating(acos_primitive(), x); }
Tensor atan(const Tensor& x) { return emit_floating(atan_primitive(), x); }
Tensor sinh(const Tensor& x) { return emit_floating(sinh_primitive(), x); }
Tensor cosh(const Tensor& x) { return emit_floating(cosh_primitive(), x); }
Tensor tanh(const Tensor& x) { return emit_floating(tanh_primitive(), x); }
Tensor asinh(const Tensor& x) { return emit_floating(asinh_primitive(), x); }
Tensor acosh(const Tensor& x) { return emit_floating(acosh_primitive(), x); }
Tensor atanh(const Tensor& x) { return emit_floating(atanh_primitive(), x); }
Tensor erf(const Tensor& x) { return emit_floating(erf_primitive(), x); }
Tensor erfc(const Tensor& x) { return emit_floating(erfc_primitive(), x); }
Tensor erf_inv(const Tensor& x) { return emit_floating(erf_inv_primitive(), x); }
Tensor lgamma(const Tensor& x) { return emit_floating(lgamma_primitive(), x); }
Tensor digamma(const Tensor& x) { return emit_floating(digamma_primitive(), x); }

namespace {

/// Rounding leaves integers as they are.
Tensor rounded(const Primitive& primitive, const Tensor& x) {
  return is_inexact(x.dtype()) ? emit_one(primitive, {x}) : x;
}

}  // namespace

Tensor floor(const Tensor& x) { return rounded(floor_primitive(), x); }
Tensor ceil(const Tensor& x) { return rounded(ceil_primitive(), x); }
Tensor round(const Tensor& x) { return rounded(round_primitive(), x); }
Tensor trunc(const Tensor& x) { return rounded(trunc_primitive(), x); }

Tensor nan_to_num(const Tensor& x) {
  if (is_complex(x.dtype())) return complex(nan_to_num(real(x)), nan_to_num(imag(x)));
  if (!is_floating(x.dtype())) return x;
  const FloatInfo info = finfo(x.dtype());
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor low = where(equal(x, -infinity), scalar(info.lowest, x.dtype()), x);
  const Tensor finite = where(equal(x, infinity), scalar(info.max, x.dtype()), low);
  return where(is_nan(x), 0, finite);
}

}  // namespace linnet
