// Sine, cosine and tangent of floats: at most 2 ulp, tangent 4. The argument is reduced by
// multiples of pi/2 in three parts with fused steps, which is exact enough up to the stated limit;
// the rare larger arguments, and the inverse functions, go to the C library. Included inside a
// namespace that provides the basis.

template <class V>
inline constexpr double kReductionLimit = kIsDouble<V> ? 0x1p20 : 0x1p13;

/// x = quadrant * pi/2 + rest; the quadrant is in the low two bits.
template <class V>
struct Quadrant {
  Bits<V> quadrant;
  V rest;
};

template <class V>
LINNET_SCALAR Quadrant<V> reduce_quadrant(V x) {
  const V magic = constant<V>(kRoundingMagic<V>);
  const V shifted = mul_add(x, constant<V>(0.63661977236758134), magic);
  const V k = magic - shifted;
  V r = fma(k, constant<V>(kIsDouble<V> ? 0x1.921fb54442d18p+0 : 0x1.921fb6p+0), x);
  r = fma(k, constant<V>(kIsDouble<V> ? 0x1.1a62633145c07p-54 : -0x1.777a5cp-25), r);
  r = fma(k, constant<V>(kIsDouble<V> ? -0x1.f1976b7ed8fbcp-110 : -0x1.ee59dap-50), r);
  return {bits(shifted), r};
}

/// sin(r) for |r| <= pi/4.
template <class V>
LINNET_SCALAR V sin_small(V r) {
  const V z = r * r;
  V s;
  if constexpr (kIsDouble<V>) {
    s = horner(z, -0.16666666666666666, 0.0083333333333333228, -0.00019841269841254858,
               2.7557319214077746e-06, -2.5052104881358572e-08, 1.6058362677442739e-10,
               -7.5784976169918023e-13);
  } else {
    s = horner(z, -0.166666672, 0.00833332911, -0.000198393202, 2.7181668e-06);
  }
  return mul_add(r * z, s, r);
}

/// cos(r) for |r| <= pi/4. 1 - z/2 keeps its rounding error.
template <class V>
LINNET_SCALAR V cos_small(V r) {
  const V one = constant<V>(1);
  const V z = r * r;
  V c;
  if constexpr (kIsDouble<V>) {
    c = horner(z, 0.041666666666666664, -0.0013888888888888874, 2.4801587301571377e-05,
               -2.755731921531333e-07, 2.0876754350147962e-09, -1.1470291271683753e-11,
               4.7380123772143232e-14);
  } else {
    c = horner(z, 0.0416666679, -0.00138888834, 2.47995049e-05, -2.72090119e-07);
  }
  const V half = constant<V>(0.5) * z;
  const V high = one - half;
  const V error = (one - high) - half;
  return high + mul_add(z * z, c, error);
}

template <class V>
LINNET_SCALAR auto is_reducible(V x) {
  return float_abs(x) <= constant<V>(kReductionLimit<V>);
}

/// Sine or cosine, after a rotation by `quadrants` quarter turns.
template <class V>
LINNET_SCALAR V rotated_sin(V x, uint64_t quadrants) {
  constexpr int kTop = kIsDouble<V> ? 63 : 31;
  const Quadrant<V> reduced = reduce_quadrant(x);
  const auto quadrant = reduced.quadrant + bits_constant<V>(quadrants);
  const V is_odd = from_bits<V>(shift_bits_left<kTop>(quadrant));
  const V y = select_by_sign(is_odd, cos_small(reduced.rest), sin_small(reduced.rest));
  const auto flip = shift_bits_left<kTop - 1>(quadrant & bits_constant<V>(2));
  return from_bits<V>(bits(y) ^ flip);
}

template <class V>
LINNET_SCALAR V sin(V x) {
  const auto reducible = is_reducible(x);
  V y = rotated_sin(x, 0);
  if (any(!reducible)) y = select(reducible, y, library_sin(x));
  return select(x == constant<V>(0), x, y);
}

template <class V>
LINNET_SCALAR V cos(V x) {
  const auto reducible = is_reducible(x);
  V y = rotated_sin(x, 1);
  if (any(!reducible)) y = select(reducible, y, library_cos(x));
  return y;
}

template <class V>
LINNET_SCALAR V tan(V x) {
  const auto reducible = is_reducible(x);
  const Quadrant<V> reduced = reduce_quadrant(x);
  const V is_odd = from_bits<V>(shift_bits_left < kIsDouble<V> ? 63 : 31 > (reduced.quadrant));
  const V s = sin_small(reduced.rest);
  const V c = cos_small(reduced.rest);
  V y = select_by_sign(is_odd, -c, s) / select_by_sign(is_odd, s, c);
  if (any(!reducible)) y = select(reducible, y, library_tan(x));
  return select(x == constant<V>(0), x, y);
}

template <class V>
LINNET_SCALAR V asin(V x) {
  return library_asin(x);
}
template <class V>
LINNET_SCALAR V acos(V x) {
  return library_acos(x);
}
template <class V>
LINNET_SCALAR V atan(V x) {
  return library_atan(x);
}
