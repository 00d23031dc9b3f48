// Exponentials, logarithms and hyperbolic functions of floats. Polynomial coefficients are minimax
// fits (Remez exchange; rational ones by iterated weighted least squares) made for these ranges.
// Largest errors, in units of the last place (float, double):
//   exp, exp2, log 1, 1; log2 1, 1.5; log1p 0.51, 1.5; expm1 2, 2; tanh, logistic 4, 4; sinh, cosh
// 3, 3;
//   asinh, acosh, atanh 0.51, 4; pow 0.51, 1.
// Included inside a namespace that provides the basis.

// ln 2 in two parts. The first has enough trailing zeros to be multiplied by any exponent exactly.
template <class V>
inline constexpr double kLn2High = kIsDouble<V> ? 0x1.62e42feep-1 : 0x1.62e4p-1;
template <class V>
inline constexpr double kLn2Low = kIsDouble<V> ? 0x1.a39ef35793c76p-33 : 0x1.7f7d1cp-20;
/// Adding it to a number of at most 2^21 rounds that to an integer, whose value is then in the low
/// bits.
template <class V>
inline constexpr double kRoundingMagic = kIsDouble<V> ? 0x1.8p52 : 0x1.8p23;
template <class V>
inline constexpr int kMantissaBits = kIsDouble<V> ? 52 : 23;

/// exp(r) - 1 for |r| <= ln(2) / 2.
template <class V>
LINNET_SCALAR V expm1_small(V r) {
  V q;
  if constexpr (kIsDouble<V>) {
    q = horner(r, 0.5, 0.16666666666666688, 0.041666666666666734, 0.0083333333333139459,
               0.0013888888888853445, 0.00019841269903981865, 2.4801587382490888e-05,
               2.7557227329809845e-06, 2.7557226530881914e-07, 2.5114639676087535e-08,
               2.0928905334496946e-09);
  } else {
    q = horner(r, 0.5, 0.166665062, 0.0416661687, 0.00837031472, 0.00139529502);
  }
  return mul_add(r * r, q, r);
}

/// Limits beyond which 2^x is infinity or zero after rounding.
template <class V>
LINNET_SCALAR V clamp_exponent(V x, double low, double high) {
  return smaller(constant<V>(high), larger(constant<V>(low), x));
}

template <class V>
LINNET_SCALAR V exp(V x) {
  const V magic = constant<V>(kRoundingMagic<V>);
  x = clamp_exponent(x, kIsDouble<V> ? -746.0 : -104.0, kIsDouble<V> ? 710.0 : 89.0);
  const V k = mul_add(x, constant<V>(1.4426950408889634), magic) - magic;
  V r = mul_add(k, constant<V>(-kLn2High<V>), x);
  r = mul_add(k, constant<V>(-kLn2Low<V>), r);
  return scale_by_power(expm1_small(r) + constant<V>(1), k);
}

template <class V>
LINNET_SCALAR V exp2(V x) {
  const V magic = constant<V>(kRoundingMagic<V>);
  x = clamp_exponent(x, kIsDouble<V> ? -1080.0 : -152.0, kIsDouble<V> ? 1025.0 : 129.0);
  const V k = (x + magic) - magic;
  const V r = (x - k) * constant<V>(0.69314718055994531);
  return scale_by_power(expm1_small(r) + constant<V>(1), k);
}

/// With t = 2^(k-1): 2 (t expm1(r) + (t - 1/2)), which neither overflows early nor cancels.
template <class V>
LINNET_SCALAR V expm1(V x) {
  const V magic = constant<V>(kRoundingMagic<V>);
  const V y = clamp_exponent(x, kIsDouble<V> ? -40.0 : -20.0, kIsDouble<V> ? 710.0 : 89.0);
  const V shifted = mul_add(y, constant<V>(1.4426950408889634), magic);
  const V k = shifted - magic;
  V r = mul_add(k, constant<V>(-kLn2High<V>), y);
  r = mul_add(k, constant<V>(-kLn2Low<V>), r);
  const auto exponent = bits(shifted) + bits_constant<V>(kIsDouble<V> ? 1022 : 126);
  const V t = from_bits<V>(shift_bits_left<kMantissaBits<V>>(exponent));
  const V half = mul_add(t, expm1_small(r), t - constant<V>(0.5));
  return select(x == constant<V>(0), x, half + half);
}

/// x = 2^exponent * (1 + fraction) with 1 + fraction in [sqrt(1/2), sqrt(2)).
template <class V>
struct Decomposed {
  V exponent, fraction;
};

/// For a positive normal x.
template <class V>
LINNET_SCALAR Decomposed<V> decompose(V x) {
  const V magic = constant<V>(kRoundingMagic<V>);
  const auto word =
      bits(x) - bits_constant<V>(kIsDouble<V> ? 0x3FE6A09E667F3BCDull : 0x3F3504F3ull);
  const auto exponent = shift_bits_right_signed<kMantissaBits<V>>(word);
  const V mantissa = from_bits<V>(bits(x) - shift_bits_left<kMantissaBits<V>>(exponent));
  return {from_bits<V>(exponent + bits(magic)) - magic, mantissa - constant<V>(1)};
}

/// For a positive x that may be subnormal.
template <class V>
LINNET_SCALAR Decomposed<V> decompose_any(V x) {
  const auto is_small = x < constant<V>(kIsDouble<V> ? 0x1p-1022 : 0x1p-126);
  const double shift = kMantissaBits<V> + 2;
  const V scaled = select(is_small, x * constant<V>(kIsDouble<V> ? 0x1p54 : 0x1p25), x);
  Decomposed<V> parts = decompose(scaled);
  parts.exponent = parts.exponent - select(is_small, constant<V>(shift), constant<V>(0));
  return parts;
}

/// log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)].
template <class V>
LINNET_SCALAR V log_fraction_rest(V f) {
  if constexpr (kIsDouble<V>) {
    // log(1 + f) = 2 atanh(s) with s = f / (2 + f).
    const V s = f / (f + constant<V>(2));
    const V z = s * s;
    const V r = z * horner(z, 0.66666666666666663, 0.40000000000006097, 0.28571428569110568,
                           0.2222222264530119, 0.18181775661109598, 0.15387094962647682,
                           0.13249953480906754, 0.13253332619330707);
    const V half_square = constant<V>(0.5) * f * f;
    return s * (half_square + r) - half_square;
  } else {
    const V p = horner(f, 0.333333105, -0.249999851, 0.200022608, -0.166693658, 0.142179281,
                       -0.123817801, 0.118765034, -0.118075311, 0.0692838281);
    return f * f * mul_add(f, p, constant<V>(-0.5));
  }
}

/// exponent * ln 2 + log(1 + fraction) + rest. The leading sum keeps its rounding error.
template <class V>
LINNET_SCALAR V log_sum(Decomposed<V> x, V rest) {
  const V base = x.exponent * constant<V>(kLn2High<V>);
  const V high = base + x.fraction;
  const V error = x.fraction - (high - base);
  const V low = mul_add(x.exponent, constant<V>(kLn2Low<V>), log_fraction_rest(x.fraction) + rest);
  return high + (low + error);
}

/// Replaces what the formulas give outside (0, infinity): -infinity at 0, NaN below.
template <class V>
LINNET_SCALAR V log_special(V x, V y) {
  const V zero = constant<V>(0);
  y = select(x < infinity<V>(), y, x);
  return select(x > zero, y, select(x == zero, -infinity<V>(), not_a_number<V>()));
}

template <class V>
LINNET_SCALAR V log(V x) {
  return log_special(x, log_sum(decompose_any(x), constant<V>(0)));
}

template <class V>
LINNET_SCALAR V log2(V x) {
  const V high_factor = constant<V>(kIsDouble<V> ? 0x1.71547652b82fep+0 : 0x1.715476p+0);
  const V low_factor = constant<V>(kIsDouble<V> ? 0x1.777d0ffda0d24p-56 : 0x1.4ae0cp-26);
  const Decomposed<V> parts = decompose_any(x);
  const V f = parts.fraction;
  const V product = f * high_factor;
  V low = fma(f, high_factor, -product);
  low = mul_add(f, low_factor, low);
  low = mul_add(log_fraction_rest(f), high_factor, low);
  const V high = parts.exponent + product;
  const V error = product - (high - parts.exponent);
  return log_special(x, high + (low + error));
}

/// log(1 + x) in the precision of V: the rounding error of 1 + x is carried along.
template <class V>
LINNET_SCALAR V log1p_native(V x) {
  const V one = constant<V>(1);
  const V u = x + one;
  const V part = u - one;
  const V error = (one - (u - part)) + (x - part);
  const V y = log_special(u, log_sum(decompose(u), error / u));
  return select(x == constant<V>(0), x, select(x < infinity<V>(), y, x));
}

#define LINNET_FUNCTOR(name)                      \
  struct name##_functor {                         \
    template <class... V>                         \
    LINNET_SCALAR auto operator()(V... x) const { \
      return name(x...);                          \
    }                                             \
  };
/// log(1 + x) for a double x above -1 that a float holds, to far less than a unit of that float:
/// where 1 + x is near one x is its fraction exactly, and elsewhere the rounding of the sums does
/// not matter.
template <class V>
LINNET_SCALAR V log1p_inside(V x) {
  const Decomposed<V> parts = decompose(x + constant<V>(1));
  const V f = select(parts.exponent == constant<V>(0), x, parts.fraction);
  return mul_add(parts.exponent, constant<V>(0.69314718055994531), f + log_fraction_rest(f));
}
LINNET_FUNCTOR(log1p_inside)

template <class V>
LINNET_SCALAR V log1p_of_float(V x) {
  const V y = log_special(x + constant<V>(1), log1p_inside(x));
  return select(x == constant<V>(0), x, y);
}
LINNET_FUNCTOR(log1p_of_float)

/// In float the double result rounded: the random samplers rely on less than 0.6 ulp.
template <class V>
LINNET_SCALAR V log1p(V x) {
  if constexpr (kIsDouble<V>) {
    return log1p_native(x);
  } else {
    return in_double(log1p_of_float_functor{}, x);
  }
}

/// log(exp(a) + exp(b)) without overflow. Equal infinities stay as they are.
template <class V>
LINNET_SCALAR V logaddexp(V a, V b) {
  const V sum = max(a, b) + log1p_native(exp(-float_abs(a - b)));
  return select(a == b, a + constant<V>(0.69314718055994531), sum);
}

template <class V>
LINNET_SCALAR V tanh(V x) {
  const V one = constant<V>(1);
  if constexpr (kIsDouble<V>) {
    const V e = expm1(smaller(constant<V>(44), float_abs(x + x)));
    return copy_sign(e / (e + constant<V>(2)), x);
  } else {
    const V y = smaller(constant<V>(9.02), larger(constant<V>(-9.02), x));
    const V z = y * y;
    const V p = horner(z, 1.0, 0.133796602, 0.00349396141, 2.05821216e-05, 1.33169573e-08);
    const V q = horner(z, 1.0, 0.467129767, 0.0258708056, 0.000328296592, 7.76119975e-07);
    return smaller(one, larger(-one, y * p / q));
  }
}

/// 1 / (1 + exp(-x)), relatively accurate in the left tail down to the subnormals.
template <class V>
LINNET_SCALAR V logistic(V x) {
  const V one = constant<V>(1);
  const V e = exp(-float_abs(x));
  return select(x < constant<V>(0), e, one) / (one + e);
}

template <class V>
inline constexpr double kHyperbolicLimit = kIsDouble<V> ? 709.0 : 88.0;

/// exp(a) / 2 where exp(a) itself may overflow.
template <class V>
LINNET_SCALAR V half_exp(V a) {
  const V root = exp(constant<V>(0.5) * a);
  return constant<V>(0.5) * root * root;
}

template <class V>
LINNET_SCALAR V sinh(V x) {
  const V a = float_abs(x);
  const V e = expm1(a);
  const V y = constant<V>(0.5) * (e + e / (e + constant<V>(1)));
  return copy_sign(select(a > constant<V>(kHyperbolicLimit<V>), half_exp(a), y), x);
}

template <class V>
LINNET_SCALAR V cosh(V x) {
  const V a = float_abs(x);
  const V e = exp(a);
  const V half = constant<V>(0.5);
  return select(a > constant<V>(kHyperbolicLimit<V>), half_exp(a), mul_add(half, e, half / e));
}

template <class V>
LINNET_SCALAR V asinh_native(V x) {
  const V a = float_abs(x);
  const V square = a * a;
  const V one = constant<V>(1);
  const V y = log1p_native(a + square / (one + sqrt(one + square)));
  const V huge = log(a) + constant<V>(0.69314718055994531);
  return copy_sign(select(a > constant<V>(0x1p28), huge, y), x);
}

template <class V>
LINNET_SCALAR V acosh_native(V x) {
  const V t = x - constant<V>(1);
  const V y = log1p_native(t + sqrt(mul_add(t, t, t + t)));
  const V huge = log(x) + constant<V>(0.69314718055994531);
  // The root cancels `t` far below one, where the formula no longer gives NaN by itself.
  const V inside = select(x > constant<V>(0x1p28), huge, y);
  return select(x < constant<V>(1), not_a_number<V>(), inside);
}

template <class V>
LINNET_SCALAR V atanh_native(V x) {
  const V a = float_abs(x);
  return copy_sign(constant<V>(0.5) * log1p_native((a + a) / (constant<V>(1) - a)), x);
}

LINNET_FUNCTOR(asinh_native)
LINNET_FUNCTOR(acosh_native)
LINNET_FUNCTOR(atanh_native)

#define LINNET_THROUGH_DOUBLE(name)                 \
  template <class V>                                \
  LINNET_SCALAR V name(V x) {                       \
    if constexpr (kIsDouble<V>) {                   \
      return name##_native(x);                      \
    } else {                                        \
      return in_double(name##_native_functor{}, x); \
    }                                               \
  }
LINNET_THROUGH_DOUBLE(asinh)
LINNET_THROUGH_DOUBLE(acosh)
LINNET_THROUGH_DOUBLE(atanh)
#undef LINNET_THROUGH_DOUBLE

template <class V>
LINNET_SCALAR V positive_pow(V x, V y) {
  return exp2(y * log2(x));
}
LINNET_FUNCTOR(positive_pow)

/// C99 pow. In float a positive finite base goes through double; the other cases are rare and left
/// to the C library, as is double.
template <class V>
  requires(!kIsInteger<V>)
LINNET_SCALAR V pow(V x, V y) {
  if constexpr (kIsDouble<V>) {
    return library_pow(x, y);
  } else {
    const V inf = infinity<V>();
    const auto is_plain = (x > constant<V>(0)) & (x < inf) & (float_abs(y) < inf);
    V result = in_double(positive_pow_functor{}, x, y);
    if (any(!is_plain)) result = select(is_plain, result, library_pow(x, y));
    return result;
  }
}
