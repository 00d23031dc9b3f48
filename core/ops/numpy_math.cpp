// Reductions of some elements, products and comparisons of linnet/numpy.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/numpy.h"

namespace linnet {
namespace {

ReductionAxes axes_of(const ReduceOptions& o) {
  return o.axes.empty() ? ReductionAxes() : ReductionAxes(o.axes);
}

/// `x` in the dtype asked for, with `identity` in place of what takes no part.
Tensor partial(const Tensor& x, const ReduceOptions& o, const Tensor& identity) {
  const Tensor y = o.dtype ? astype(x, *o.dtype) : x;
  return o.where.defined() ? where(o.where, y, astype(identity, y.dtype())) : y;
}

Tensor extreme(const char* name, const Tensor& x, const ReduceOptions& o, double sign) {
  const Tensor y = o.dtype ? astype(x, *o.dtype) : x;
  if (o.where.defined() && !o.initial.defined())
    fail<ValueError>("{}: an initial value is needed, as no element may take part", name);
  const bool largest = sign > 0;
  const auto of_two = [&](const Tensor& a, const Tensor& b) {
    return largest ? maximum(a, b) : minimum(a, b);
  };
  if (!o.initial.defined())
    return largest ? max(y, axes_of(o), o.keepdims) : min(y, axes_of(o), o.keepdims);
  const Tensor initial = astype(o.initial, y.dtype());
  const Tensor part = o.where.defined() ? where(o.where, y, initial) : y;
  const ReductionAxes axes = axes_of(o);
  // Nothing at all gives the initial value.
  if (part.size() == 0) {
    const Shape shape = sum(astype(part, DType::kF32), axes, o.keepdims).shape();
    if (element_count(shape) > 0) return broadcast_to(initial, shape);
  }
  return of_two(largest ? max(part, axes, o.keepdims) : min(part, axes, o.keepdims), initial);
}

/// How many elements take part.
Tensor counted(const Tensor& x, const ReduceOptions& o) {
  const Tensor all = o.where.defined() ? broadcast_to(o.where, x.shape())
                                       : broadcast_to(scalar(1, DType::kBool), x.shape());
  return sum(astype(all, DType::kF32), axes_of(o), o.keepdims);
}

Tensor real(const Tensor& x, const ReduceOptions& o) {
  if (o.dtype) return astype(x, *o.dtype);
  return is_inexact(x.dtype()) ? x : astype(x, DType::kF32);
}

}  // namespace

Tensor sum(const Tensor& x, const ReduceOptions& o) {
  const Tensor y = sum(partial(x, o, 0), axes_of(o), o.keepdims);
  return o.initial.defined() ? y + astype(o.initial, y.dtype()) : y;
}
Tensor prod(const Tensor& x, const ReduceOptions& o) {
  const Tensor y = prod(partial(x, o, 1), axes_of(o), o.keepdims);
  return o.initial.defined() ? y * astype(o.initial, y.dtype()) : y;
}
Tensor max(const Tensor& x, const ReduceOptions& o) { return extreme("max", x, o, 1); }
Tensor min(const Tensor& x, const ReduceOptions& o) { return extreme("min", x, o, -1); }
Tensor any(const Tensor& x, const ReduceOptions& o) {
  const Tensor truth = not_equal(x, 0);
  return any(o.where.defined() ? logical_and(truth, o.where) : truth, axes_of(o), o.keepdims);
}
Tensor all(const Tensor& x, const ReduceOptions& o) {
  const Tensor truth = not_equal(x, 0);
  return all(o.where.defined() ? logical_or(truth, logical_not(o.where)) : truth, axes_of(o),
             o.keepdims);
}

Tensor mean(const Tensor& x, const ReduceOptions& o) {
  const Tensor y = real(x, o);
  const DType wide = size_of(y.dtype()) < 4 ? DType::kF32 : y.dtype();
  ReduceOptions part = o;
  part.dtype = wide;
  part.initial = {};
  return astype(sum(y, part) / astype(counted(y, o), wide), y.dtype());
}

Tensor var(const Tensor& x, const ReduceOptions& o) {
  const Tensor y = real(x, o);
  ReduceOptions kept = o;
  kept.keepdims = true;
  kept.dtype = size_of(y.dtype()) < 4 ? DType::kF32 : y.dtype();
  const Tensor centred = astype(y, *kept.dtype) - mean(astype(y, *kept.dtype), kept);
  ReduceOptions part = kept;
  part.keepdims = o.keepdims;
  part.initial = {};
  part.dtype = real_dtype_of(*kept.dtype);
  const Tensor freedom = counted(y, o) - o.ddof, none = freedom <= 0;
  const Tensor total = sum(abs_squared(centred), part);
  const Tensor value = total / astype(where(none, 1.0, freedom), total.dtype());
  return astype(where(none, NAN, value), real_dtype_of(y.dtype()));
}
Tensor std_dev(const Tensor& x, const ReduceOptions& o) { return sqrt(var(x, o)); }

Tensor nansum(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return sum(where(is_nan(x), scalar(0, x.dtype()), x), axes, keepdims);
}
Tensor nanmean(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  const Tensor number = sum(astype(logical_not(is_nan(x)), DType::kF32), axes, keepdims);
  const Tensor total = nansum(x, axes, keepdims);
  return total / astype(number, total.dtype());
}

namespace {

Tensor nan_extreme(const Tensor& x, const ReductionAxes& axes, bool keepdims, bool largest) {
  const double none = largest ? -HUGE_VAL : HUGE_VAL;
  const Tensor nan = is_nan(x), part = where(nan, scalar(none, x.dtype()), x);
  const Tensor y = largest ? max(part, axes, keepdims) : min(part, axes, keepdims);
  return where(all(nan, axes, keepdims), NAN, y);
}

}  // namespace

Tensor nanmax(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return nan_extreme(x, axes, keepdims, true);
}
Tensor nanmin(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return nan_extreme(x, axes, keepdims, false);
}

std::pair<Tensor, Tensor> divmod(const Tensor& a, const Tensor& b) {
  return {floor_divide(a, b), mod(a, b)};
}

Tensor vdot(const Tensor& a, const Tensor& b) { return dot(conj(ravel(a)), ravel(b)); }

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0) return a * b;
  return tensordot(a, b, {-1}, {-1});
}

Tensor cross(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0 || a.shape(-1) != 3 || b.shape(-1) != 3) {
    fail<ShapeError>("cross: expected vectors of 3 elements, got {} and {}", to_string(a.type()),
                     to_string(b.type()));
  }
  const auto turned = [](const Tensor& x, int64_t by) { return roll(x, -by, -1); };
  return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1);
}

Tensor kron(const Tensor& a, const Tensor& b) {
  const size_t rank = std::max(a.rank(), b.rank());
  Shape left, right, whole;
  for (size_t d = 0; d < rank; ++d) {
    const auto size = [&](const Tensor& x) {
      const size_t missing = rank - x.rank();
      return d < missing ? 1 : x.shape()[d - missing];
    };
    left.push_back(size(a));
    left.push_back(1);
    right.push_back(1);
    right.push_back(size(b));
    whole.push_back(size(a) * size(b));
  }
  return reshape(reshape(a, left) * reshape(b, right), whole);
}

Tensor convolve(const Tensor& a, const Tensor& v, ConvolveMode mode) {
  if (a.rank() != 1 || v.rank() != 1 || a.size() == 0 || v.size() == 0) {
    fail<ShapeError>("convolve: expected two vectors with elements, got {} and {}",
                     to_string(a.type()), to_string(v.type()));
  }
  if (a.size() < v.size()) return convolve(v, a, mode);
  const DType dtype = promote_types(a.dtype(), v.dtype());
  if (is_complex(dtype)) {  // by parts, for which there are kernels
    const Tensor ar = linnet::real(a), ai = imag(a), vr = linnet::real(v), vi = imag(v);
    return complex(convolve(ar, vr, mode) - convolve(ai, vi, mode),
                   convolve(ar, vi, mode) + convolve(ai, vr, mode));
  }
  const int64_t n = a.size(), m = v.size();
  const Tensor full_result =
      reshape(conv_general_dilated(reshape(astype(a, dtype), {1, n, 1}),
                                   reshape(astype(flip(v, {0}), dtype), {m, 1, 1}),
                                   {.padding = {{m - 1, m - 1}}}),
              {n + m - 1});
  if (mode == ConvolveMode::kFull) return full_result;
  const int64_t begin = mode == ConvolveMode::kSame ? (m - 1) / 2 : m - 1;
  return slice_axis(full_result, begin, begin + (mode == ConvolveMode::kSame ? n : n - m + 1), 0);
}

Tensor interp(const Tensor& x, const Tensor& xp, const Tensor& fp) {
  if (xp.rank() != 1 || fp.shape() != xp.shape() || xp.size() == 0) {
    fail<ShapeError>("interp: expected points and values of one length, got {} and {}",
                     to_string(xp.type()), to_string(fp.type()));
  }
  const int64_t n = xp.size();
  if (n == 1) return broadcast_to(fp[0], x.shape());
  const Tensor after = clip(searchsorted(xp, x, true), 1, n - 1), before = after - 1;
  const Tensor x0 = take(xp, before), x1 = take(xp, after), y0 = take(fp, before),
               y1 = take(fp, after);
  const Tensor width = x1 - x0, flat = equal(width, 0);
  const Tensor share = where(flat, 0.0, (x - x0) / where(flat, 1.0, width));
  const Tensor y = y0 + share * (y1 - y0);
  return where(x < xp[0], fp[0], where(x > xp[-1], fp[-1], y));
}

Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  const auto real = [](const Tensor& x) {
    return is_inexact(x.dtype()) ? x : astype(x, DType::kF32);
  };
  const Tensor x = real(a), y = real(b);
  const Tensor near = logical_and(abs(x - y) <= atol + rtol * abs(y), is_finite(y));
  const Tensor close = logical_or(near, equal(x, y));
  return equal_nan ? logical_or(close, logical_and(is_nan(x), is_nan(y))) : close;
}
Tensor allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  return all(isclose(a, b, rtol, atol, equal_nan));
}
Tensor array_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() ? all(equal(a, b)) : Tensor(false);
}

}  // namespace linnet
