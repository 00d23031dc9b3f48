// The error function, its complement and inverse, and the normal distribution function, of floats.
// At most: erf 4 ulp, erfc 5 (double 6), erf_inv as the samplers define it.
// Included inside a namespace that provides the basis.

/// exp(a^2) erfc(a) for 0 <= a <= 28, as a polynomial in (a - k) / (a + k) over 1 + 2a.
template <class V>
LINNET_SCALAR V erfcx(V a) {
  const V one = constant<V>(1);
  const V pivot = constant<V>(kIsDouble<V> ? 3 : 2);
  const V sum = a + pivot;
  const V twice = a + a + one;
  const V shared = one / (sum * twice);  // one division serves both quotients
  const V q = (a - pivot) * twice * shared;
  V p;
  if constexpr (kIsDouble<V>) {
    p = horner(q, 1.2530080582697296, -0.13562110612458114, -0.04756229435345094,
               0.12964515870275711, -0.1192736634152908, 0.068308027344134464,
               -0.023770514919197974, 0.0025293918129845028, 0.0018886903668770129,
               -0.0007798322391497877, -0.00010515985596010187, 0.00012509914093356323,
               4.9497176989119003e-06, -2.0099708192451447e-05, -7.3206595664115038e-07,
               3.4701436059974102e-06, 3.575181555690754e-07, -6.1276264582606624e-07,
               -1.4172300034113183e-07, 9.7709884632238133e-08, 4.1067387876150619e-08,
               -1.0795026020997237e-08, -7.6304493128684195e-09, 3.1991279129867243e-10,
               5.6807492722193689e-10);
  } else {
    p = horner(q, 1.27697837, -0.0927638188, -0.166030511, 0.164051026, -0.0542179346,
               -0.00803072844, 0.00870977342, 0.00125240057, -0.00142263668, -0.000401031895,
               0.000171192733, 8.04193623e-05);
  }
  return p * sum * shared;
}

/// exp(-factor a^2) for a factor of 1 or 1/2: the rounding error of the square would otherwise be
/// magnified by the size of the exponent.
template <class V>
LINNET_SCALAR V gaussian(V a, double factor) {
  const V square = a * a;
  const V error = fma(a, a, -square);
  const V y = exp(constant<V>(-factor) * square);
  return mul_add(y * constant<V>(-factor), error, y);
}

template <class V>
LINNET_SCALAR V erfc_positive(V a) {
  a = smaller(constant<V>(kIsDouble<V> ? 27.5 : 10.25), a);
  return erfcx(a) * gaussian(a, 1.0);
}

template <class V>
LINNET_SCALAR V erfc(V x) {
  const V tail = erfc_positive(float_abs(x));
  return select(x < constant<V>(0), constant<V>(2) - tail, tail);
}

/// In float the rational function of the samplers' definition.
template <class V>
LINNET_SCALAR V erf(V x) {
  const V one = constant<V>(1);
  const V a = float_abs(x);
  if constexpr (kIsDouble<V>) {
    const V z = smaller(one, x * x);
    const V center =
        x * horner(z, 1.1283791670955126, -0.37612638903183754, 0.11283791670955121,
                   -0.026866170645129868, 0.005223977625423609, -0.00085483270219559261,
                   0.00012055332903808763, -1.4925647594397373e-05, 1.6462045978746048e-06,
                   -1.6364649528882569e-07, 1.4792469453107219e-08, -1.21649675634089e-09,
                   8.7104619373128326e-11, -4.2331246504619257e-12);
    return select(a > one, copy_sign(one - erfc_positive(a), x), center);
  } else {
    const V z = x * x;
    const V p = horner_fused(z, 1.128379143519084, 0.18520832239976145, 0.050955695062380861,
                             0.0034082910107109506, 0.00022905065861350646);
    const V q =
        horner_fused(z, 1.0, 0.49746925110067538, 0.11098505178285362, 0.014070470171167667,
                     0.0010179625278914885, 0.000023547966471313185, -1.1791602954361697e-7);
    return select(a >= constant<V>(3.832506856900711), copy_sign(one, x), x * p / q);
  }
}

/// Giles' approximation with every Horner step fused; the other steps are rounded separately.
template <class V>
LINNET_SCALAR V erf_inv_float(V w) {
  const auto is_central = w < constant<V>(5);
  const V t = select(is_central, w - constant<V>(2.5), sqrt(w) - constant<V>(3));
  constexpr double kCentral[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                 -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                 -0.00417768164,  0.246640727,    1.50140941};
  constexpr double kTail[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                              -0.00367342844,  0.00573950773,  -0.0076224613,
                              0.00943887047,   1.00167406,     2.83297682};
  V p = select(is_central, constant<V>(kCentral[0]), constant<V>(kTail[0]));
  for (int i = 1; i < 9; ++i) {
    p = fma(p, t, select(is_central, constant<V>(kCentral[i]), constant<V>(kTail[i])));
  }
  return p;
}

template <class V>
LINNET_SCALAR V erf_inv_double(V w) {
  const V root = sqrt(w);
  const auto is_tail = w >= constant<V>(6.25);
  V p = horner_fused(
      w - constant<V>(3.125), 1.6536545626831027356, 0.24015818242558961693,
      -0.0060336708714301490533, -0.00074070253416626697512, 0.0001867342080340571352,
      -1.3882523362786468719e-05, -1.3654692000834678645e-06, 4.2347877827932403518e-07,
      -2.9070369957882005086e-08, -4.1126339803469836976e-09, 1.051212273321532285e-09,
      -5.4154120542946279317e-11, -1.2975133253453532498e-11, 2.6335093153082322977e-12,
      -8.1519341976054721522e-14, -4.0545662729752068639e-14, 6.6376381343583238325e-15,
      2.0972767875968561637e-17, -1.333171662854620906e-16, 1.115787767802518096e-17,
      1.2858480715256400167e-18, -1.685059138182016589e-19, -3.6444120640178196996e-21);
  if (!any(is_tail)) return p;
  const V middle =
      horner_fused(root - constant<V>(3.25), 3.0838856104922207635, 1.0052589676941592334,
                   0.005370914553590063617, -0.0037512085075692412107, 0.0024914420961078508066,
                   -0.0016882755560235047313, 0.00095328937973738049703, -0.0003550375203628474796,
                   2.4031110387097893999e-05, 6.8284851459573175448e-05, -4.7318229009055733981e-05,
                   1.2475304481671778723e-05, 2.9234449089955446044e-06, -4.013867526981545969e-06,
                   1.5027403968909827627e-06, 1.8239629214389227755e-08, -2.7517406297064545428e-07,
                   9.0756561938885390979e-08, 2.2137376921775787049e-09);
  const V far = horner_fused(
      root - constant<V>(5), 4.8499064014085844221, 1.0103004648645343977,
      -0.00013871931833623122026, -0.00021503011930044477347, 7.5995277030017761139e-05,
      -1.9681778105531670567e-05, 4.5260625972231537039e-06, -9.9298272942317002539e-07,
      2.2900482228026654717e-07, -6.7711997758452339498e-08, 2.9147953450901080826e-08,
      -1.4960026627149240478e-08, 7.6157012080783393804e-09, -3.7894654401267369937e-09,
      1.5076572693500548083e-09, -2.5556418169965252055e-10, -2.7109920616438573243e-11);
  return select(is_tail, select(w >= constant<V>(16), far, middle), p);
}

/// Infinite at -1 and 1, NaN beyond.
template <class V>
LINNET_SCALAR V erf_inv(V x) {
  const V one = constant<V>(1);
  const V a = float_abs(x);
  V y;
  if constexpr (kIsDouble<V>) {
    y = erf_inv_double(-log1p(-(x * x))) * x;
  } else {
    y = erf_inv_float(-in_double(log1p_inside_functor{}, -(x * x))) * x;
  }
  return select(a < one, y, select(a == one, x * infinity<V>(), not_a_number<V>()));
}

/// Probability that a standard normal variable is below x; relatively accurate in the left tail.
template <class V>
LINNET_SCALAR V normal_cdf(V x) {
  const double limit = kIsDouble<V> ? 38.5 : 14.25;
  const V a = smaller(constant<V>(limit), float_abs(x));
  const V tail = constant<V>(0.5) * erfcx(a * constant<V>(0.70710678118654752)) * gaussian(a, 0.5);
  return select(x < constant<V>(0), tail, constant<V>(1) - tail);
}
