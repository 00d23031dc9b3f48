#include "core/ops/scalar_primitives.h"

#include "core/ops/elementwise.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

const Primitive& define_comparison(const char* name) {
  return define(Elementwise<NoParams>{
      .name = name, .arity = 2, .accepts = Accepts::kAny, .boolean_result = true});
}
/// Complex numbers are equal or not, but have no order.
const Primitive& define_equality(const char* name) {
  return define(Elementwise<NoParams>{
      .name = name, .arity = 2, .accepts = Accepts::kAny, .boolean_result = true, .complex = true});
}
const Primitive& define_predicate(const char* name) {
  return define(Elementwise<NoParams>{.name = name, .arity = 1, .boolean_result = true});
}
const Primitive& define_bits(const char* name, int arity, Accepts accepts) {
  return define(Elementwise<NoParams>{
      .name = name, .arity = arity, .accepts = accepts, .zero_derivative = true});
}

}  // namespace

#define LINNET_LOGIC_PRIMITIVE(function, ...) \
  const Primitive& function##_primitive() {   \
    static const Primitive& p = __VA_ARGS__;  \
    return p;                                 \
  }
LINNET_LOGIC_PRIMITIVE(eq, define_equality("eq"))
LINNET_LOGIC_PRIMITIVE(ne, define_equality("ne"))
LINNET_LOGIC_PRIMITIVE(lt, define_comparison("lt"))
LINNET_LOGIC_PRIMITIVE(le, define_comparison("le"))
LINNET_LOGIC_PRIMITIVE(gt, define_comparison("gt"))
LINNET_LOGIC_PRIMITIVE(ge, define_comparison("ge"))
LINNET_LOGIC_PRIMITIVE(is_nan, define_predicate("is_nan"))
LINNET_LOGIC_PRIMITIVE(is_inf, define_predicate("is_inf"))
LINNET_LOGIC_PRIMITIVE(is_finite, define_predicate("is_finite"))
LINNET_LOGIC_PRIMITIVE(bitwise_and, define_bits("and", 2, Accepts::kIntegerOrBool))
LINNET_LOGIC_PRIMITIVE(bitwise_or, define_bits("or", 2, Accepts::kIntegerOrBool))
LINNET_LOGIC_PRIMITIVE(bitwise_xor, define_bits("xor", 2, Accepts::kIntegerOrBool))
LINNET_LOGIC_PRIMITIVE(bitwise_not, define_bits("not", 1, Accepts::kIntegerOrBool))
LINNET_LOGIC_PRIMITIVE(shift_left, define_bits("shift_left", 2, Accepts::kInteger))
LINNET_LOGIC_PRIMITIVE(shift_right_logical,
                       define_bits("shift_right_logical", 2, Accepts::kInteger))
LINNET_LOGIC_PRIMITIVE(shift_right_arithmetic,
                       define_bits("shift_right_arithmetic", 2, Accepts::kInteger))
#undef LINNET_LOGIC_PRIMITIVE

namespace {

/// Integers are neither NaN nor infinite; a complex number is what one of its parts is.
Tensor classify(const Primitive& primitive, const Tensor& x, bool of_integers) {
  if (is_floating(x.dtype())) return emit_one(primitive, {x});
  if (is_complex(x.dtype())) {
    const Tensor re = emit_one(primitive, {real(x)}), im = emit_one(primitive, {imag(x)});
    return of_integers ? bitwise_and(re, im) : bitwise_or(re, im);
  }
  const ScopedDevice here(x.device());
  return full(x.shape(), of_integers, DType::kBool);
}

Tensor truth(const Tensor& x) { return x.dtype() == DType::kBool ? x : not_equal(x, 0); }

}  // namespace

namespace {

/// Compares numbers, not what is left of them in the other operand's type: a literal beyond the
/// range of an integer tensor is above (or below) each of its elements.
Tensor compare(const Primitive& primitive, const Tensor& a, const Tensor& b, bool if_a_above,
               bool if_b_above) {
  for (const bool literal_first : {true, false}) {
    const Tensor &literal = literal_first ? a : b, &other = literal_first ? b : a;
    if (!is_integer(other.dtype()) || other.weak() || !is_whole_literal(literal)) continue;
    if (fits_integer(literal, other.dtype())) continue;
    const bool above = literal.dtype() == DType::kU64 || literal.item<int64_t>() > 0;
    return full(other.shape(), above == literal_first ? if_a_above : if_b_above, DType::kBool);
  }
  return emit_binary(primitive, a, b);
}

}  // namespace

Tensor equal(const Tensor& a, const Tensor& b) {
  return compare(eq_primitive(), a, b, false, false);
}
Tensor not_equal(const Tensor& a, const Tensor& b) {
  return compare(ne_primitive(), a, b, true, true);
}
Tensor less(const Tensor& a, const Tensor& b) { return compare(lt_primitive(), a, b, false, true); }
Tensor less_equal(const Tensor& a, const Tensor& b) {
  return compare(le_primitive(), a, b, false, true);
}
Tensor greater(const Tensor& a, const Tensor& b) {
  return compare(gt_primitive(), a, b, true, false);
}
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return compare(ge_primitive(), a, b, true, false);
}
Tensor is_nan(const Tensor& x) { return classify(is_nan_primitive(), x, false); }
Tensor is_inf(const Tensor& x) { return classify(is_inf_primitive(), x, false); }
Tensor is_finite(const Tensor& x) { return classify(is_finite_primitive(), x, true); }

Tensor bitwise_and(const Tensor& a, const Tensor& b) {
  return emit_binary(bitwise_and_primitive(), a, b);
}
Tensor bitwise_or(const Tensor& a, const Tensor& b) {
  return emit_binary(bitwise_or_primitive(), a, b);
}
Tensor bitwise_xor(const Tensor& a, const Tensor& b) {
  return emit_binary(bitwise_xor_primitive(), a, b);
}
Tensor bitwise_not(const Tensor& x) { return emit_one(bitwise_not_primitive(), {x}); }
Tensor shift_left(const Tensor& a, const Tensor& b) {
  return emit_binary(shift_left_primitive(), a, b);
}
Tensor shift_right_logical(const Tensor& a, const Tensor& b) {
  return emit_binary(shift_right_logical_primitive(), a, b);
}
Tensor shift_right_arithmetic(const Tensor& a, const Tensor& b) {
  return emit_binary(shift_right_arithmetic_primitive(), a, b);
}

Tensor logical_and(const Tensor& a, const Tensor& b) { return bitwise_and(truth(a), truth(b)); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return bitwise_or(truth(a), truth(b)); }
Tensor logical_not(const Tensor& x) { return bitwise_not(truth(x)); }

Tensor operator==(const Tensor& a, const Tensor& b) { return equal(a, b); }
Tensor operator!=(const Tensor& a, const Tensor& b) { return not_equal(a, b); }
Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
Tensor operator&(const Tensor& a, const Tensor& b) { return bitwise_and(a, b); }
Tensor operator|(const Tensor& a, const Tensor& b) { return bitwise_or(a, b); }
Tensor operator^(const Tensor& a, const Tensor& b) { return bitwise_xor(a, b); }
Tensor operator~(const Tensor& x) { return bitwise_not(x); }
Tensor operator!(const Tensor& x) { return logical_not(x); }
Tensor operator&&(const Tensor& a, const Tensor& b) { return logical_and(a, b); }
Tensor operator||(const Tensor& a, const Tensor& b) { return logical_or(a, b); }
Tensor operator<<(const Tensor& a, const Tensor& b) { return shift_left(a, b); }
Tensor operator>>(const Tensor& a, const Tensor& b) {
  const WeakDType type =
      promote_types(WeakDType{a.dtype(), a.weak()}, WeakDType{b.dtype(), b.weak()});
  return is_unsigned_integer(type.dtype) ? shift_right_logical(a, b) : shift_right_arithmetic(a, b);
}

}  // namespace linnet
