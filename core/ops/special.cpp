// Functions of linnet/special.h.
#include "linnet/special.h"

#include <cmath>
#include <numbers>

namespace linnet::special {
namespace {

Tensor real(const Tensor& x) { return is_inexact(x.dtype()) ? x : astype(x, DType::kF32); }

std::pair<Tensor, Tensor> reals(const char* operation, const Tensor& a, const Tensor& b) {
  const auto [x, y] = promote_and_broadcast(operation, a, b);
  return {real(x), real(y)};
}

/// x f(y), and 0 where x is.
Tensor times(const Tensor& x, const Tensor& y, Tensor (*f)(const Tensor&)) {
  const Tensor none = logical_and(equal(x, 0), logical_not(is_nan(y)));
  return where(none, 0.0, x * f(where(none, 1.0, y)));
}

}  // namespace

Tensor xlogy(const Tensor& x, const Tensor& y) {
  const auto [a, b] = reals("xlogy", x, y);
  return times(a, b, log);
}
Tensor xlog1py(const Tensor& x, const Tensor& y) {
  const auto [a, b] = reals("xlog1py", x, y);
  return times(a, b, log1p);
}

Tensor entr(const Tensor& x) {
  const Tensor y = real(x);
  return where(y < 0, -HUGE_VAL, neg(xlogy(y, where(y < 0, 1.0, y))));
}

Tensor rel_entr(const Tensor& p, const Tensor& q) {
  const auto [a, b] = reals("rel_entr", p, q);
  const Tensor both = logical_and(a > 0, b > 0), zero = logical_and(equal(a, 0), b >= 0);
  const Tensor x = where(both, a, 1.0), y = where(both, b, 1.0);
  return where(both, x * log(x) - x * log(y), where(zero, 0.0, HUGE_VAL));
}

Tensor kl_div(const Tensor& p, const Tensor& q) {
  const auto [a, b] = reals("kl_div", p, q);
  return rel_entr(a, b) - a + b;
}

Tensor logit(const Tensor& p) {
  const Tensor x = real(p);
  return log(x / (1 - x));
}
Tensor expit(const Tensor& x) { return sigmoid(real(x)); }

Tensor ndtr(const Tensor& x) {
  const Tensor w = real(x) * std::numbers::sqrt2 / 2, z = abs(w);
  const Tensor middle = z < std::numbers::sqrt2 / 2;
  return 0.5 * where(middle, 1 + erf(w), where(w > 0, 2 - erfc(z), erfc(z)));
}

Tensor log_ndtr(const Tensor& x) {
  const Tensor y = real(x);
  const bool wide = y.dtype() == DType::kF64;
  const double upper = wide ? 8 : 5, lower = wide ? -20 : -10;
  // Below, -x²/2 - log(-x sqrt(2π)) + log(1 - 1/x² + 3/x⁴ - 15/x⁶ + 105/x⁸ - 945/x¹⁰).
  const Tensor tail = where(y > lower, lower, y), r = square(reciprocal(tail));
  const Tensor series = 1 + r * (-1 + r * (3 + r * (-15 + r * (105 + r * (-945 + r * 10395)))));
  const Tensor small =
      -0.5 * square(tail) - log(-tail) - 0.5 * std::log(2 * std::numbers::pi) + log(series);
  const Tensor middle = log(ndtr(clip(y, lower, upper)));
  const Tensor large = neg(ndtr(neg(where(y > upper, y, upper))));
  return where(y > upper, large, where(y > lower, middle, where(is_nan(y), y, small)));
}

namespace {

/// Coefficients of a quotient of polynomials, that of the highest power first.
struct Quotient {
  double p[9], q[9];
  Tensor operator()(const Tensor& x) const { return horner(p, x) / horner(q, x); }
  static Tensor horner(const double (&c)[9], const Tensor& x) {
    Tensor y = zeros_like(x);
    for (double coefficient : c) y = y * x + coefficient;
    return y;
  }
};

// Moshier, Cephes mathematical library, ndtri.c: relative error below 1e-15.
constexpr Quotient kMiddle{
    {0, 0, 0, 0, -5.99633501014107895267E1, 9.80010754185999661536E1, -5.66762857469070293439E1,
     1.39312609387279679503E1, -1.23916583867381258016E0},
    {1, 1.95448858338141759834E0, 4.67627912898881538453E0, 8.63602421390890590575E1,
     -2.25462687854119370527E2, 2.00260212380060660359E2, -8.20372256168333339912E1,
     1.59056225126211695515E1, -1.18331621121330003142E0}};
constexpr Quotient kNear{
    {4.05544892305962419923E0, 3.15251094599893866154E1, 5.71628192246421288162E1,
     4.40805073893200834700E1, 1.46849561928858024014E1, 2.18663306850790267539E0,
     -1.40256079171354495875E-1, -3.50424626827848203418E-2, -8.57456785154685413611E-4},
    {1, 1.57799883256466749731E1, 4.53907635128879210584E1, 4.13172038254672030440E1,
     1.50425385692907503408E1, 2.50464946208309415979E0, -1.42182922854787788574E-1,
     -3.80806407691578277194E-2, -9.33259480895457427372E-4}};
constexpr Quotient kFar{
    {3.23774891776946035970E0, 6.91522889068984211695E0, 3.93881025292474443415E0,
     1.33303460815807542389E0, 2.01485389549179081538E-1, 1.23716634817820021358E-2,
     3.01581553508235416007E-4, 2.65806974686737550832E-6, 6.23974539184983293730E-9},
    {1, 6.02427039364742014255E0, 3.67983563856160859403E0, 1.37702099489081330271E0,
     2.16236993594496635890E-1, 1.34204006088543189037E-2, 3.28014464682127739104E-4,
     2.89247864745380683936E-6, 6.79019408009981274425E-9}};

}  // namespace

Tensor ndtri(const Tensor& p) {
  const Tensor x = real(p), upper = x > 1 - std::exp(-2.0);
  const Tensor tail = where(upper, 1 - x, x), outside = logical_not(tail > 0);
  const Tensor y = where(outside, 0.5, tail), wide = y > std::exp(-2.0);
  const Tensor w = where(wide, y, 0.5) - 0.5, ww = square(w);
  const Tensor middle = -std::sqrt(2 * std::numbers::pi) * (w + w * ww * kMiddle(ww));
  const Tensor z = sqrt(-2 * log(where(wide, std::exp(-2.0), y))), r = 1 / z;
  const Tensor end = z - log(z) * r - where(z >= 8.0, kFar(r), kNear(r)) * r;
  const Tensor size = where(wide, middle, end), value = where(upper, size, neg(size));
  return where(logical_or(outside, is_nan(x)),
               where(equal(x, 0), -HUGE_VAL, where(equal(x, 1), HUGE_VAL, NAN)), value);
}

Tensor gammaln(const Tensor& x) { return lgamma(x); }

Tensor gammasgn(const Tensor& x) {
  const Tensor y = stop_gradient(real(x)), down = floor(y);
  // Between two poles the sign alternates.
  const Tensor odd = not_equal(mod(down, 2.0), 0);
  const Tensor below = where(equal(y, down), NAN, where(odd, -1.0, 1.0));
  return astype(where(y < 0, below, where(is_nan(y), y, 1.0)), y.dtype());
}
Tensor gamma(const Tensor& x) {
  const Tensor y = real(x);
  return where(equal(y, 0), reciprocal(y), gammasgn(y) * exp(lgamma(y)));
}
Tensor factorial(const Tensor& n) {
  const Tensor x = real(n);
  return where(x < 0, 0.0, exp(lgamma(where(x < 0, 0.0, x) + 1)));
}

Tensor betaln(const Tensor& a, const Tensor& b) {
  const auto [x, y] = reals("betaln", a, b);
  return lgamma(x) + lgamma(y) - lgamma(x + y);
}
Tensor beta(const Tensor& a, const Tensor& b) {
  const auto [x, y] = reals("beta", a, b);
  return gammasgn(x) * gammasgn(y) * gammasgn(x + y) * exp(betaln(x, y));
}

Tensor multigammaln(const Tensor& a, int64_t d) {
  const Tensor x = real(a);
  Tensor y =
      scalar(0.25 * static_cast<double>(d * (d - 1)) * std::log(std::numbers::pi), x.dtype());
  for (int64_t i = 0; i < d; ++i) y = y + lgamma(x - 0.5 * static_cast<double>(i));
  return y;
}

Tensor boxcox(const Tensor& x, const Tensor& lambda) {
  const auto [a, b] = reals("boxcox", x, lambda);
  const Tensor none = equal(b, 0), safe = where(none, 1.0, b);
  return where(none, log(a), expm1(safe * log(a)) / safe);
}
Tensor boxcox1p(const Tensor& x, const Tensor& lambda) {
  const auto [a, b] = reals("boxcox1p", x, lambda);
  const Tensor none = equal(b, 0), safe = where(none, 1.0, b);
  return where(none, log1p(a), expm1(safe * log1p(a)) / safe);
}

}  // namespace linnet::special
