// Polynomials, rounding-free and once-rounded arithmetic of floats. Included inside a namespace
// that provides the basis (plain_inl.h and, for vectors, their own).

/// c0 + c1 x + c2 x^2 + …
template <class V>
LINNET_SCALAR V horner(V, double c) {
  return constant<V>(c);
}
template <class V, class... C>
LINNET_SCALAR V horner(V x, double c, C... higher) {
  return mul_add(horner(x, higher...), x, constant<V>(c));
}
/// The same with every step rounded once, on every machine.
template <class V>
LINNET_SCALAR V horner_fused(V, double c) {
  return constant<V>(c);
}
template <class V, class... C>
LINNET_SCALAR V horner_fused(V x, double c, C... higher) {
  return fma(horner_fused(x, higher...), x, constant<V>(c));
}

template <class V>
LINNET_SCALAR V infinity() {
  return constant<V>(__builtin_inf());
}
template <class V>
LINNET_SCALAR V not_a_number() {
  return constant<V>(__builtin_nan(""));
}

// Integers have their own definitions of these names in integer_inl.h.
#define LINNET_FLOAT_FUNCTION \
  template <class V>          \
    requires(!kIsInteger<V>)  \
  LINNET_SCALAR V

LINNET_FLOAT_FUNCTION neg(V x) { return -x; }
LINNET_FLOAT_FUNCTION abs(V x) { return float_abs(x); }
/// -1, 0 or 1; zeros keep their sign, NaN stays NaN.
LINNET_FLOAT_FUNCTION sign(V x) {
  const V zero = constant<V>(0);
  return select(x > zero, constant<V>(1), select(x < zero, constant<V>(-1), x));
}
LINNET_FLOAT_FUNCTION square(V x) { return x * x; }
LINNET_FLOAT_FUNCTION reciprocal(V x) { return constant<V>(1) / x; }
/// 1 / sqrt(x): two roundings, at most 1.5 ulp.
LINNET_FLOAT_FUNCTION rsqrt(V x) { return constant<V>(1) / sqrt(x); }
LINNET_FLOAT_FUNCTION cbrt(V x) { return library_cbrt(x); }

/// x^n by repeated squaring; a negative power is the reciprocal of the positive one.
LINNET_FLOAT_FUNCTION integer_pow(V x, double exponent) {
  V result = constant<V>(1);
  V power = x;
  for (auto left = static_cast<uint64_t>(exponent < 0 ? -exponent : exponent); left != 0;) {
    if (left & 1) result = result * power;
    left >>= 1;
    if (left != 0) power = power * power;
  }
  return exponent < 0 ? constant<V>(1) / result : result;
}

LINNET_FLOAT_FUNCTION add(V a, V b) { return a + b; }
LINNET_FLOAT_FUNCTION sub(V a, V b) { return a - b; }
LINNET_FLOAT_FUNCTION mul(V a, V b) { return a * b; }
LINNET_FLOAT_FUNCTION div(V a, V b) { return a / b; }
/// Remainder of the truncated quotient: it has the sign of `a`. Exact.
LINNET_FLOAT_FUNCTION rem(V a, V b) { return library_fmod(a, b); }
/// NaN if either operand is NaN. Which of two zeros comes out is not specified.
LINNET_FLOAT_FUNCTION max(V a, V b) { return select(a != a, a, larger(a, b)); }
LINNET_FLOAT_FUNCTION min(V a, V b) { return select(a != a, a, smaller(a, b)); }
LINNET_FLOAT_FUNCTION clamp(V low, V x, V high) { return min(max(x, low), high); }
LINNET_FLOAT_FUNCTION atan2(V y, V x) { return library_atan2(y, x); }
/// The neighbour of `a` in the direction of `b`.
LINNET_FLOAT_FUNCTION nextafter(V a, V b) { return library_nextafter(a, b); }

LINNET_FLOAT_FUNCTION lgamma(V x) { return library_lgamma(x); }
/// Derivative of lgamma; NaN at zero and the negative integers.
LINNET_FLOAT_FUNCTION digamma(V x) { return library_digamma(x); }
