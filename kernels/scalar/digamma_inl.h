// The derivative of the logarithm of the gamma function, in double. Included inside a namespace
// that provides floor, round, tan and log of double.

// Recurrence up to x >= 10, then the asymptotic series with Bernoulli numbers B_2k / (2k)
// (NIST DLMF 5.5.2 and 5.11.2); left of 1/2 the reflection formula 5.5.4.
LINNET_SCALAR double digamma_value(double x) {
  constexpr double kPi = 3.14159265358979323846;
  if (x <= 0 && x == floor(x)) return __builtin_nan("");
  double result = 0;
  if (x < 0.5) {
    // The tangent has period one here; the reduced argument keeps it accurate.
    const double fraction = x - round(x);
    result = -kPi / tan(kPi * fraction);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  if (x == __builtin_inf()) return x;
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 -
           z * (1.0 / 120 -
                z * (1.0 / 252 -
                     z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return result + (log(x) - 0.5 / x - series);
}
