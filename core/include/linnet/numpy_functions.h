// Functions of jax.numpy element by element, along an axis, and of polynomials, beside those of
// ops.h and numpy.h. All are made of other operations, so they have derivatives and work in every
// transformation.
//
//   Tensor r = hypot(x, y);
//   Tensor area = trapezoid(y, {.x = t});
//   Tensor z = piecewise(x, {x < 0, x >= 1}, {neg, square, exp});   // exp where neither holds
//
// The umbrella header does not include this one.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "linnet/numpy.h"

#pragma GCC visibility push(default)

namespace linnet {

// Element by element (J-017 … J-020)
/// sqrt(a² + b²) without overflow on the way; inf if one of them is, even beside NaN.
Tensor hypot(const Tensor& a, const Tensor& b);
Tensor log10(const Tensor& x);
/// log2(2^a + 2^b).
Tensor logaddexp2(const Tensor& a, const Tensor& b);
/// |a| with the sign of b, that of a zero too.
Tensor copysign(const Tensor& a, const Tensor& b);
/// Whether the sign is minus, that of a zero and of NaN too.
Tensor signbit(const Tensor& x);
/// 0 below 0, 1 above, `at_zero` there.
Tensor heaviside(const Tensor& x, const Tensor& at_zero);
/// C remainder: the sign follows the dividend.
Tensor fmod(const Tensor& a, const Tensor& b);
/// The larger and the smaller one that is a number.
Tensor fmax(const Tensor& a, const Tensor& b);
Tensor fmin(const Tensor& a, const Tensor& b);
/// sin(πx) / (πx), 1 at 0.
Tensor sinc(const Tensor& x);
Tensor deg2rad(const Tensor& x);
Tensor rad2deg(const Tensor& x);
/// x 2^n for whole n.
Tensor ldexp(const Tensor& x, const Tensor& n);
/// The part behind the point, and that before it.
std::pair<Tensor, Tensor> modf(const Tensor& x);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor isposinf(const Tensor& x);
Tensor isneginf(const Tensor& x);
/// The value of the first condition that holds, made by the function of its number; where none
/// does, by one more function, or 0. @throws ValueError for another number of functions.
Tensor piecewise(const Tensor& x, const std::vector<Tensor>& conditions,
                 const std::vector<std::function<Tensor(const Tensor&)>>& functions);

// Along an axis
/// Central differences over `spacing`, one-sided at the ends (J-017).
/// @throws ShapeError for an axis of fewer than two elements.
Tensor gradient(const Tensor& x, const Tensor& spacing = 1.0, int64_t axis = -1);
struct TrapezoidOptions {
  Tensor x = {};  ///< where the values are, of the shape of y or of its axis
  double dx = 1;  ///< their distance, if it is everywhere the same
  int64_t axis = -1;
};
/// The integral of the polyline through the values.
Tensor trapezoid(const Tensor& y, const TrapezoidOptions& options = {});
/// Steps above half a period are replaced by those that differ from them by periods.
Tensor unwrap(const Tensor& p, int64_t axis = -1, double period = 6.283185307179586);
/// Sums of the products of two vectors, at distances as in `convolve`: a [n], v [m].
Tensor correlate(const Tensor& a, const Tensor& v, ConvolveMode mode = ConvolveMode::kValid);

// Products (J-023)
/// Of vectors along an axis, which broadcast.
Tensor vecdot(const Tensor& a, const Tensor& b, int64_t axis = -1);
/// a [..., m, n] by vectors v [..., n], and v [..., m] by a.
Tensor matvec(const Tensor& a, const Tensor& v);
Tensor vecmat(const Tensor& v, const Tensor& a);

// Polynomials: coefficients [n], that of the highest power first
Tensor polyval(const Tensor& coefficients, const Tensor& x);
/// m-th derivative.
Tensor polyder(const Tensor& coefficients, int64_t m = 1);
/// The integral from 0.
Tensor polyint(const Tensor& coefficients);
Tensor polyadd(const Tensor& a, const Tensor& b);
Tensor polymul(const Tensor& a, const Tensor& b);
/// The coefficients [degree + 1] for which the polynomial is nearest to y at x, both [n].
Tensor polyfit(const Tensor& x, const Tensor& y, int64_t degree);

}  // namespace linnet

#pragma GCC visibility pop
