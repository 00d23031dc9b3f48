#include "core/ops/arithmetic.h"

#include "core/ops/complex.h"
#include "core/ops/elementwise.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

const Primitive& add_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "add",
                                   .arity = 2,
                                   .vjp =
                                       [](const NoParams&, Inputs, Outputs, const Tensor& ct) {
                                         return TensorList{ct, ct};
                                       },
                                   .accepts = Accepts::kAny,
                                   .linear = true,
                                   .saves_inputs = 0,
                                   .saves_outputs = 0,
                                   .complex = true});
  return p;
}

const Primitive& sub_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "sub",
                                   .arity = 2,
                                   .vjp =
                                       [](const NoParams&, Inputs, Outputs, const Tensor& ct) {
                                         return TensorList{ct, neg(ct)};
                                       },
                                   .accepts = Accepts::kNumeric,
                                   .linear = true,
                                   .saves_inputs = 0,
                                   .saves_outputs = 0,
                                   .complex = true});
  return p;
}

const Primitive& mul_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "mul",
                                   .arity = 2,
                                   .partials =
                                       [](const NoParams&, Inputs x, Outputs) {
                                         return TensorList{x[1], x[0]};
                                       },
                                   .accepts = Accepts::kAny,
                                   .saves_outputs = 0,
                                   .complex = true});
  return p;
}

const Primitive& div_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "div",
                                   .arity = 2,
                                   .partials =
                                       [](const NoParams&, Inputs x, Outputs y) {
                                         return TensorList{reciprocal(x[1]), neg(y[0] / x[1])};
                                       },
                                   .vjp =
                                       [](const NoParams&, Inputs x, Outputs y, const Tensor& ct) {
                                         const Tensor scaled = ct / x[1];
                                         return TensorList{scaled, neg(scaled * y[0])};
                                       },
                                   .accepts = Accepts::kNumeric,
                                   .saves_inputs = bits_of({1}),
                                   .complex = true});
  return p;
}

const Primitive& rem_primitive() {
  static const Primitive& p = define(
      Elementwise<NoParams>{.name = "rem",
                            .arity = 2,
                            .partials =
                                [](const NoParams&, Inputs x, Outputs) {
                                  return TensorList{ones_like(x[0]), neg(trunc(x[0] / x[1]))};
                                },
                            .accepts = Accepts::kNumeric,
                            .saves_outputs = 0});
  return p;
}

const Primitive& pow_primitive() {
  // x^0 has derivative 0 in x also at x = 0, and 0^y has derivative 0 in y.
  static const Primitive& p = define(
      Elementwise<NoParams>{.name = "pow",
                            .arity = 2,
                            .partials =
                                [](const NoParams&, Inputs x, Outputs y) {
                                  const Tensor constant = equal(x[1], 0);
                                  const Tensor lower = pow(x[0], where(constant, 1, x[1] - 1));
                                  return TensorList{where(constant, 0, x[1] * lower),
                                                    log(where(equal(x[0], 0), 1, x[0])) * y[0]};
                                },
                            .accepts = Accepts::kNumeric,
                            .complex = true});
  return p;
}

const Primitive& integer_pow_primitive() {
  static const Primitive& p = define(Elementwise<IntegerPowParams>{
      .name = "integer_pow",
      .arity = 1,
      .partials =
          [](const IntegerPowParams& p, Inputs x, Outputs) {
            if (p.exponent == 0) return TensorList{zeros_like(x[0])};
            const Tensor lower =
                emit_one(integer_pow_primitive(), {x[0]}, IntegerPowParams{p.exponent - 1});
            return TensorList{lower * p.exponent};
          },
      .accepts = Accepts::kNumeric,
      .saves_outputs = 0,
      .complex = true});
  return p;
}

namespace {

/// A tie gives half of the cotangent to each operand. Neither is larger than NaN, nor equal to it:
/// then the derivative is zero in both.
TensorList split_cotangent(const Tensor& wins, const Tensor& loses, const Tensor& tie,
                           const Tensor& ct) {
  const Tensor shared = where(tie, ct * 0.5, 0);
  return {where(wins, ct, shared), where(loses, ct, shared)};
}

/// Of the larger (or smaller) of two operands.
TensorList extreme_cotangents(Inputs x, bool maximum, const Tensor& ct) {
  const Tensor &a = maximum ? x[0] : x[1], &b = maximum ? x[1] : x[0];
  return split_cotangent(greater(a, b), less(a, b), equal(x[0], x[1]), ct);
}

}  // namespace

const Primitive& max_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "max",
      .arity = 2,
      .partials = [](const NoParams&, Inputs x,
                     Outputs) { return extreme_cotangents(x, true, ones_like(x[0])); },
      .vjp = [](const NoParams&, Inputs x, Outputs,
                const Tensor& ct) { return extreme_cotangents(x, true, ct); },
      .accepts = Accepts::kAny,
      .saves_outputs = 0});
  return p;
}

const Primitive& min_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "min",
      .arity = 2,
      .partials = [](const NoParams&, Inputs x,
                     Outputs) { return extreme_cotangents(x, false, ones_like(x[0])); },
      .vjp = [](const NoParams&, Inputs x, Outputs,
                const Tensor& ct) { return extreme_cotangents(x, false, ct); },
      .accepts = Accepts::kAny,
      .saves_outputs = 0});
  return p;
}

const Primitive& atan2_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "atan2",
                                   .arity = 2,
                                   .partials =
                                       [](const NoParams&, Inputs x, Outputs) {
                                         const Tensor radius = square(x[0]) + square(x[1]);
                                         return TensorList{x[1] / radius, neg(x[0] / radius)};
                                       },
                                   .saves_outputs = 0});
  return p;
}

const Primitive& nextafter_primitive() {
  static const Primitive& p =
      define(Elementwise<NoParams>{.name = "nextafter", .arity = 2, .zero_derivative = true});
  return p;
}

const Primitive& logaddexp_primitive() {
  // Equal infinities share the derivative like any other equal operands, and a larger infinity has
  // all of it.
  static const Primitive& p = define(
      Elementwise<NoParams>{.name = "logaddexp",
                            .arity = 2,
                            .partials =
                                [](const NoParams&, Inputs x, Outputs) {
                                  const Tensor distance = where(equal(x[0], x[1]), 0, x[0] - x[1]);
                                  return TensorList{sigmoid(distance), sigmoid(neg(distance))};
                                },
                            .saves_outputs = 0});
  return p;
}

const Primitive& neg_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "neg",
      .arity = 1,
      .vjp = [](const NoParams&, Inputs, Outputs, const Tensor& ct) { return TensorList{neg(ct)}; },
      .accepts = Accepts::kNumeric,
      .linear = true,
      .saves_inputs = 0,
      .saves_outputs = 0,
      .complex = true});
  return p;
}

const Primitive& abs_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "abs",
      .arity = 1,
      .partials =
          [](const NoParams&, Inputs x, Outputs) {
            // One side's derivative at 0, as JAX.
            return TensorList{where(greater_equal(x[0], 0), ones_like(x[0]), neg(ones_like(x[0])))};
          },
      .accepts = Accepts::kNumeric,
      .saves_outputs = 0});
  return p;
}

const Primitive& sign_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{.name = "sign",
                                                           .arity = 1,
                                                           .accepts = Accepts::kNumeric,
                                                           .zero_derivative = true,
                                                           .complex = true});
  return p;
}

const Primitive& square_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "square",
      .arity = 1,
      .partials = [](const NoParams&, Inputs x, Outputs) { return TensorList{2 * x[0]}; },
      .accepts = Accepts::kNumeric,
      .saves_outputs = 0,
      .complex = true});
  return p;
}

const Primitive& reciprocal_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "reciprocal",
      .arity = 1,
      .partials = [](const NoParams&, Inputs, Outputs y) { return TensorList{neg(square(y[0]))}; },
      .saves_inputs = 0,
      .complex = true});
  return p;
}

namespace {

/// The exponent as a whole number, if it is a literal that is one and repeated products are as
/// exact as `pow`.
std::optional<int64_t> literal_exponent(const Tensor& b) {
  if (!b.weak() || b.rank() != 0 || b.traced()) return std::nullopt;
  if (is_complex(b.dtype())) return std::nullopt;
  if (is_floating(b.dtype())) {
    const float value = b.item<float>();
    if (value != 1 && value != 2 && value != 3 && value != -1) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  const int64_t value = b.item<int64_t>();
  if (value != static_cast<int32_t>(value)) return std::nullopt;
  return value;
}

Tensor from_bool_to_i32(const Tensor& x) {
  return x.dtype() == DType::kBool ? convert(x, {DType::kI32, x.weak()}) : x;
}

Tensor integer_power(const char* operation, const Tensor& x, int64_t exponent) {
  if (exponent < 0 && !is_inexact(x.dtype())) {
    fail<ValueError>(
        "{}: integers have no negative powers, got {} to the power {}\n  hint: convert to a "
        "floating dtype first",
        operation, to_string(x.type()), exponent);
  }
  return emit_one(integer_pow_primitive(), {x}, IntegerPowParams{exponent});
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return emit_binary(add_primitive(), a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return emit_binary(sub_primitive(), a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return emit_binary(mul_primitive(), a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return emit_binary_floating(div_primitive(), a, b); }
Tensor rem(const Tensor& a, const Tensor& b) { return emit_binary(rem_primitive(), a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return emit_binary(max_primitive(), a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return emit_binary(min_primitive(), a, b); }
Tensor atan2(const Tensor& y, const Tensor& x) {
  return emit_binary_floating(atan2_primitive(), y, x);
}
Tensor nextafter(const Tensor& x, const Tensor& towards) {
  return emit_binary_floating(nextafter_primitive(), x, towards);
}
Tensor logaddexp(const Tensor& a, const Tensor& b) {
  return emit_binary_floating(logaddexp_primitive(), a, b);
}

namespace {

/// Where a truncated quotient lies above the floored one.
Tensor truncates_up(const Tensor& remainder, const Tensor& divisor) {
  return bitwise_and(not_equal(remainder, 0), not_equal(sign(remainder), sign(divisor)));
}

/// The quotient without the remainder is whole but for one rounding, which `round` undoes; as in
/// CPython's float_floor_div.
Tensor floating_floor_divide(const Tensor& x, const Tensor& y) {
  const Tensor left = rem(x, y);
  const Tensor whole = where(equal(y, 0), x, x - left) / y;
  return round(where(truncates_up(left, y), whole - 1, whole));
}

}  // namespace

Tensor floor_divide(const Tensor& a, const Tensor& b) {
  const auto [x, y] =
      promote_and_broadcast("floor_divide", from_bool_to_i32(a), from_bool_to_i32(b));
  // There is no remainder of complex numbers either, which is said there.
  if (is_inexact(x.dtype())) return floating_floor_divide(x, y);
  const Tensor quotient = emit_one(div_primitive(), {x, y});
  if (!is_signed_integer(x.dtype())) return quotient;
  const Tensor below = bitwise_and(not_equal(rem(x, y), 0), not_equal(sign(x), sign(y)));
  return where(below, quotient - 1, quotient);
}

Tensor mod(const Tensor& a, const Tensor& b) {
  auto [x, y] = promote_and_broadcast("mod", from_bool_to_i32(a), from_bool_to_i32(b));
  if (is_integer(y.dtype())) y = where(equal(y, 0), 1, y);
  const Tensor left = rem(x, y);
  if (is_unsigned_integer(x.dtype())) return left;
  const Tensor wrong_sign = bitwise_and(not_equal(left, 0), not_equal(less(left, 0), less(y, 0)));
  return where(wrong_sign, left + y, left);
}

Tensor pow(const Tensor& a, const Tensor& b) {
  if (const std::optional<int64_t> exponent = literal_exponent(b)) {
    const WeakDType type =
        promote_types(WeakDType{a.dtype(), a.weak()}, WeakDType{b.dtype(), true});
    return integer_power("pow", a.dtype() == type.dtype ? a : convert(a, type), *exponent);
  }
  return emit_binary(pow_primitive(), from_bool_to_i32(a), from_bool_to_i32(b));
}

Tensor integer_pow(const Tensor& x, int exponent) {
  return integer_power("integer_pow", x, exponent);
}

Tensor neg(const Tensor& x) { return emit_one(neg_primitive(), {x}); }
Tensor abs(const Tensor& x) {
  return emit_one(is_complex(x.dtype()) ? complex_abs_primitive() : abs_primitive(), {x});
}
Tensor sign(const Tensor& x) { return emit_one(sign_primitive(), {x}); }
Tensor square(const Tensor& x) { return emit_one(square_primitive(), {x}); }
Tensor reciprocal(const Tensor& x) { return emit_floating(reciprocal_primitive(), x); }

Tensor clip(const Tensor& x, const Tensor& low, const Tensor& high) {
  return minimum(maximum(x, low), high);
}

Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
Tensor operator%(const Tensor& a, const Tensor& b) { return mod(a, b); }
Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace linnet
