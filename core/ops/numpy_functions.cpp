// Functions of linnet/numpy_functions.h.
#include "linnet/numpy_functions.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/ops/nn.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/linalg.h"
#include "linnet/numpy_arrays.h"

namespace linnet {
namespace {

/// @throws DTypeError, as nothing of what follows would.
void refuse_complex(const char* operation, const Tensor& x) {
  if (is_complex(x.dtype()))
    fail<DTypeError>("{}: complex numbers are not accepted, got {}", operation,
                     to_string(x.type()));
}

/// Both in one floating dtype.
std::pair<Tensor, Tensor> reals(const char* operation, const Tensor& a, const Tensor& b) {
  const auto [x, y] = promote_and_broadcast(operation, a, b);
  refuse_complex(operation, x);
  return {floating_operand(x), floating_operand(y)};
}

Tensor entry(const Tensor& x, int64_t i, int64_t axis) { return slice_axis(x, i, i + 1, axis); }

}  // namespace

Tensor hypot(const Tensor& a, const Tensor& b) {
  const auto [x, y] = reals("hypot", a, b);
  const Tensor large = maximum(abs(x), abs(y)), small = minimum(abs(x), abs(y));
  const Tensor none = equal(large, 0);
  const Tensor root = large * sqrt(1 + square(small / where(none, 1.0, large)));
  return where(logical_or(is_inf(x), is_inf(y)), HUGE_VAL, where(none, large, root));
}

Tensor log10(const Tensor& x) { return log(x) * (1 / std::numbers::ln10); }

Tensor logaddexp2(const Tensor& a, const Tensor& b) {
  const auto [x, y] = reals("logaddexp2", a, b);
  return logaddexp(x * std::numbers::ln2, y * std::numbers::ln2) * (1 / std::numbers::ln2);
}

Tensor signbit(const Tensor& x) {
  refuse_complex("signbit", x);
  if (!is_floating(x.dtype()))
    return x.dtype() == DType::kBool ? less(astype(x, DType::kI32), 0) : less(x, 0);
  const size_t size = size_of(x.dtype());
  return less(bitcast(x, size == 2 ? DType::kI16 : size == 4 ? DType::kI32 : DType::kI64), 0);
}

Tensor copysign(const Tensor& a, const Tensor& b) {
  const auto [x, y] = reals("copysign", a, b);
  return where(equal(signbit(x), signbit(y)), x, neg(x));
}

Tensor heaviside(const Tensor& x, const Tensor& at_zero) {
  const auto [a, b] = reals("heaviside", x, at_zero);
  const Tensor step = astype(stop_gradient(a) > 0, a.dtype());
  return where(is_nan(a), stop_gradient(a), where(equal(a, 0), b, step));
}

Tensor fmod(const Tensor& a, const Tensor& b) { return rem(a, b); }
Tensor fmax(const Tensor& a, const Tensor& b) {
  return where(logical_or(greater(a, b), is_nan(b)), a, b);
}
Tensor fmin(const Tensor& a, const Tensor& b) {
  return where(logical_or(less(a, b), is_nan(b)), a, b);
}

Tensor sinc(const Tensor& x) {
  const Tensor z = floating_operand(x) * std::numbers::pi;
  // The series to z^10 is exact to rounding there, and differentiable at 0.
  const Tensor near = abs(z) < 0.25, s = square(where(near, z, 0.0));
  const Tensor series =
      1 + s * (-1. / 6 + s * (1. / 120 + s * (-1. / 5040 + s * (1. / 362880 - s / 39916800))));
  const Tensor far = where(near, 1.0, z);
  return where(near, series, sin(far) / far);
}

Tensor deg2rad(const Tensor& x) { return floating_operand(x) * (std::numbers::pi / 180); }
Tensor rad2deg(const Tensor& x) { return floating_operand(x) * (180 / std::numbers::pi); }

Tensor ldexp(const Tensor& x, const Tensor& n) {
  // Two halves, so that a power beyond the range of the dtype does no harm on the way.
  const Tensor half = shift_right_arithmetic(n, 1), y = floating_operand(x);
  const auto power = [&](const Tensor& e) { return exp2(astype(e, y.dtype())); };
  return y * power(half) * power(n - half);
}

std::pair<Tensor, Tensor> modf(const Tensor& x) {
  const Tensor y = floating_operand(x), whole = trunc(y);
  return {y - whole, whole};
}

Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return not_equal(not_equal(a, 0), not_equal(b, 0));
}
Tensor isposinf(const Tensor& x) {
  refuse_complex("isposinf", x);
  return equal(floating_operand(x), HUGE_VAL);
}
Tensor isneginf(const Tensor& x) {
  refuse_complex("isneginf", x);
  return equal(floating_operand(x), -HUGE_VAL);
}

Tensor piecewise(const Tensor& x, const std::vector<Tensor>& conditions,
                 const std::vector<std::function<Tensor(const Tensor&)>>& functions) {
  const size_t n = conditions.size();
  if (functions.size() != n && functions.size() != n + 1)
    fail<ValueError>("piecewise: expected {} or {} functions for {} conditions, got {}", n, n + 1,
                     n, functions.size());
  std::vector<Tensor> choices;
  for (size_t i = 0; i < n; ++i) choices.push_back(astype(functions[i](x), x.dtype()));
  const Tensor otherwise =
      functions.size() > n ? astype(functions[n](x), x.dtype()) : zeros_like(x);
  return select(conditions, choices, otherwise);
}

Tensor gradient(const Tensor& x, const Tensor& spacing, int64_t axis) {
  const Tensor y = floating_operand(x);
  const int64_t n = y.shape(axis);
  if (n < 2)
    fail<ShapeError>("gradient: expected at least two elements along axis {}, got {}", axis,
                     to_string(x.type()));
  const Tensor inner = (slice_axis(y, 2, n, axis) - slice_axis(y, 0, n - 2, axis)) * 0.5;
  return concatenate({entry(y, 1, axis) - entry(y, 0, axis), inner,
                      entry(y, n - 1, axis) - entry(y, n - 2, axis)},
                     axis) /
         spacing;
}

Tensor trapezoid(const Tensor& y, const TrapezoidOptions& o) {
  const Tensor lines = moveaxis(floating_operand(y), o.axis, -1);
  const int64_t n = lines.shape(-1);
  const Tensor twice = slice_axis(lines, std::min<int64_t>(n, 1), n, -1) +
                       slice_axis(lines, 0, std::max<int64_t>(n - 1, 0), -1);
  if (!o.x.defined()) return sum(twice, -1) * (o.dx / 2);
  const Tensor x = o.x.rank() == 1 ? o.x : moveaxis(o.x, o.axis, -1);
  return sum(twice * diff(floating_operand(x), 1, -1), -1) * 0.5;
}

Tensor unwrap(const Tensor& p, int64_t axis, double period) {
  const Tensor y = floating_operand(p), step = diff(y, 1, axis);
  const double half = period / 2;
  const Tensor folded = mod(step + half, period) - half;
  const Tensor small = where(logical_and(equal(folded, -half), step > 0), half, folded);
  const Tensor correction = where(abs(step) < half, 0.0, small - step);
  return concatenate({slice_axis(y, 0, std::min<int64_t>(1, y.shape(axis)), axis),
                      slice_axis(y, std::min<int64_t>(1, y.shape(axis)), y.shape(axis), axis) +
                          cumsum(correction, axis)},
                     axis);
}

Tensor correlate(const Tensor& a, const Tensor& v, ConvolveMode mode) {
  if (a.rank() == 1 && v.rank() == 1 && a.size() < v.size())
    return conj(flip(correlate(v, a, mode), {0}));
  return convolve(a, conj(v.rank() == 1 ? flip(v, {0}) : v), mode);
}

Tensor vecdot(const Tensor& a, const Tensor& b, int64_t axis) {
  return sum(conj(moveaxis(a, axis, -1)) * moveaxis(b, axis, -1), -1);
}
Tensor matvec(const Tensor& a, const Tensor& v) {
  return squeeze(matmul(a, expand_dims(v, -1)), Axes{-1});
}
Tensor vecmat(const Tensor& v, const Tensor& a) {
  return squeeze(matmul(expand_dims(conj(v), -2), a), Axes{-2});
}

namespace {

int64_t degree_of(const char* operation, const Tensor& coefficients) {
  if (coefficients.rank() != 1)
    fail<ShapeError>("{}: expected a vector of coefficients, got {}", operation,
                     to_string(coefficients.type()));
  return coefficients.size() - 1;
}

/// Of `degree`, with zeros in front.
Tensor of_degree(const Tensor& coefficients, int64_t degree) {
  return pad(coefficients, {{.low = degree + 1 - coefficients.size()}});
}

}  // namespace

Tensor polyval(const Tensor& coefficients, const Tensor& x) {
  const int64_t degree = degree_of("polyval", coefficients);
  Tensor y = zeros(x.shape(), promote_types(coefficients.dtype(), x.dtype()));
  for (int64_t i = 0; i <= degree; ++i) y = y * x + coefficients[i];
  return y;
}

Tensor polyder(const Tensor& coefficients, int64_t m) {
  Tensor p = floating_operand(coefficients);
  for (; m > 0; --m) {
    const int64_t degree = degree_of("polyder", p);
    if (degree <= 0) return zeros({0}, p.dtype());
    p = slice_axis(p, 0, degree, 0) * astype(flip(arange(degree) + 1, {0}), p.dtype());
  }
  return p;
}

Tensor polyint(const Tensor& coefficients) {
  const int64_t degree = degree_of("polyint", coefficients);
  const Tensor p = floating_operand(coefficients);
  return pad(p / astype(flip(arange(degree + 1) + 1, {0}), p.dtype()), {{.high = 1}});
}

Tensor polyadd(const Tensor& a, const Tensor& b) {
  const int64_t degree = std::max(degree_of("polyadd", a), degree_of("polyadd", b));
  return of_degree(a, degree) + of_degree(b, degree);
}
Tensor polymul(const Tensor& a, const Tensor& b) { return convolve(a, b); }

Tensor polyfit(const Tensor& x, const Tensor& y, int64_t degree) {
  if (x.rank() != 1 || y.shape() != x.shape() || degree < 0)
    fail<ShapeError>("polyfit: expected two vectors of one length, got {} and {}",
                     to_string(x.type()), to_string(y.type()));
  // Columns of length one, as in NumPy: the powers differ by orders of magnitude.
  const Tensor powers = vander(floating_operand(x), degree + 1);
  const Tensor size = sqrt(sum(square(powers), 0));
  return linalg::lstsq(powers / size, floating_operand(y),
                       static_cast<double>(x.size()) * finfo(powers.dtype()).eps) /
         size;
}

}  // namespace linnet
