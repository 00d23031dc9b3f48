// Functions of linnet/numpy_statistics.h.
#include "linnet/numpy_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/ops/nn.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/numpy_arrays.h"

namespace linnet {
namespace {

Tensor numbers(const Tensor& x) { return logical_not(is_nan(floating_operand(x))); }

}  // namespace

Tensor histogram_bin_edges(const Tensor& x, int64_t bins,
                           std::optional<std::pair<double, double>> range) {
  if (bins < 1) fail<ValueError>("histogram_bin_edges: expected bins, got {}", bins);
  const Tensor y = floating_operand(x);
  Tensor low = scalar(0, y.dtype()), high = scalar(1, y.dtype());
  if (range) {
    low = scalar(range->first, y.dtype());
    high = scalar(range->second, y.dtype());
  } else if (y.size() > 0) {
    low = min(y);
    high = max(y);
  }
  const Tensor point = equal(low, high);
  const Tensor from = where(point, low - 0.5, low), to = where(point, high + 0.5, high);
  const Tensor at = iota(DType::kI32, {bins + 1});
  const Tensor share = astype(at, y.dtype()) / static_cast<double>(bins);
  return where(equal(at, bins), to, from * (1 - share) + to * share);
}

Histogram histogram(const Tensor& x, const HistogramOptions& o) {
  const Tensor y = ravel(floating_operand(x));
  const Tensor edges =
      o.edges.defined() ? floating_operand(o.edges) : histogram_bin_edges(y, o.bins, o.range);
  if (edges.rank() != 1 || edges.size() < 2)
    fail<ShapeError>("histogram: expected at least two edges, got {}", to_string(edges.type()));
  if (o.weights.defined() && o.weights.shape() != x.shape())
    fail<ShapeError>("histogram: the weights {} do not have the shape of {}",
                     to_string(o.weights.type()), to_string(x.type()));
  const Tensor weights =
      o.weights.defined() ? ravel(floating_operand(o.weights)) : ones(y.shape(), y.dtype());
  const int64_t bins = edges.size() - 1;
  // 0 and bins + 1 are outside.
  const Tensor bin = where(equal(y, edges[-1]), bins, searchsorted(edges, y, true));
  const Tensor counts = index_add(zeros({bins + 2}, weights.dtype()), bin, weights);
  const Tensor inside = slice_axis(counts, 1, bins + 1, 0);
  if (!o.density) return {inside, edges};
  return {inside / diff(edges) / sum(inside), edges};
}

Tensor digitize(const Tensor& x, const Tensor& edges, bool right) {
  if (edges.rank() != 1)
    fail<ShapeError>("digitize: expected a vector of edges, got {}", to_string(edges.type()));
  const int64_t n = edges.size();
  if (n == 0) return zeros(x.shape(), DType::kI32);
  const Tensor ascending = searchsorted(edges, x, !right);
  const Tensor descending = n - searchsorted(flip(edges, {0}), x, !right);
  return where(edges[n - 1] >= edges[0], ascending, descending);
}

Tensor average(const Tensor& x, const Tensor& weights, std::optional<int64_t> axis) {
  const ReductionAxes axes = axis ? ReductionAxes(*axis) : ReductionAxes();
  if (!weights.defined()) return mean(x, axes);
  Tensor w = weights;
  if (w.shape() != x.shape()) {
    if (!axis || w.rank() != 1 || w.size() != x.shape(*axis))
      fail<ShapeError>("average: the weights {} have neither the shape of {} nor that of its axis",
                       to_string(weights.type()), to_string(x.type()));
    const int64_t at = *axis < 0 ? *axis + static_cast<int64_t>(x.rank()) : *axis;
    w = broadcast_in_dim(w, x.shape(), {at});
  }
  return sum(floating_operand(x) * floating_operand(w), axes) / sum(floating_operand(w), axes);
}

Tensor cov(const Tensor& x, const CovarianceOptions& o) {
  if (x.rank() > 2) fail<ShapeError>("cov: expected at most a matrix, got {}", to_string(x.type()));
  Tensor y = floating_operand(atleast_2d(x));
  if (!o.rows && y.shape(0) != 1) y = transpose(y);
  const int64_t n = y.shape(1);
  const Tensor centred = y - mean(y, Axes{1}, true);
  const Tensor out = matmul(centred, conj(transpose(centred))) / static_cast<double>(n - o.ddof);
  return out.size() == 1 ? reshape(out, {}) : out;
}

Tensor corrcoef(const Tensor& x, bool rows) {
  const Tensor c = cov(x, {.rows = rows});
  if (c.rank() == 0) return c / c;
  // Variances are real.
  const Tensor deviation = sqrt(real(diagonal(c)));
  const Tensor out = c / expand_dims(deviation, 1) / expand_dims(deviation, 0);
  if (!is_complex(out.dtype())) return clip(out, -1.0, 1.0);
  return complex(clip(real(out), -1.0, 1.0), clip(imag(out), -1.0, 1.0));
}

Tensor ptp(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return max(x, axes, keepdims) - min(x, axes, keepdims);
}

namespace {

/// The elements along the front axis, ascending; quantiles of rank 0 or 1.
struct Lines {
  Tensor sorted, q;
};
Lines lines_of(const char* operation, const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  const Tensor lines =
      o.axis ? moveaxis(floating_operand(x), *o.axis, 0) : ravel(floating_operand(x));
  if (lines.shape(0) == 0 || q.rank() > 1)
    fail<ShapeError>("{}: expected elements, and quantiles of rank 0 or 1, got {} and {}",
                     operation, to_string(x.type()), to_string(q.type()));
  return {sort(lines, 0), astype(q, lines.dtype())};
}

/// [q, ...]: of lines of which the first `count` elements are numbers, [...].
Tensor quantiles(const Lines& lines, const Tensor& count, QuantileMethod method) {
  const Tensor& sorted = lines.sorted;
  Shape shape{lines.q.size()};
  for (size_t d = 1; d < sorted.rank(); ++d) shape.push_back(1);
  const Tensor last = astype(maximum(count - 1, 0), sorted.dtype());
  const Tensor position =
      clip(reshape(lines.q, shape) * expand_dims(last, 0), 0.0, expand_dims(last, 0));
  const Tensor low = floor(position), high = ceil(position);
  const auto at = [&](const Tensor& p) {
    return take_along_axis(sorted, astype(p, DType::kI32), 0, GatherMode::kClip);
  };
  switch (method) {
    case QuantileMethod::kLower:
      return at(low);
    case QuantileMethod::kHigher:
      return at(high);
    case QuantileMethod::kMidpoint:
      return (at(low) + at(high)) * 0.5;
    case QuantileMethod::kNearest:
      return at(round(position));
    case QuantileMethod::kLinear:
      break;
  }
  const Tensor share = position - low;
  return at(low) * (1 - share) + at(high) * share;
}

/// In the form that was asked for.
Tensor finished(const Tensor& y, const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  Tensor out = y;
  if (o.keepdims) {
    out = o.axis ? expand_dims(
                       out, (*o.axis < 0 ? *o.axis + static_cast<int64_t>(x.rank()) : *o.axis) + 1)
                 : reshape(out, [&] {
                     Shape shape(x.rank() + 1, 1);
                     shape[0] = q.size();
                     return shape;
                   }());
  }
  return q.rank() == 0 ? squeeze(out, Axes{0}) : out;
}

Tensor of_percent(const Tensor& q) { return floating_operand(q) / 100; }

}  // namespace

Tensor quantile(const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  const Lines lines = lines_of("quantile", x, q, o);
  const Tensor some = any(is_nan(lines.sorted), Axes{0});
  const Tensor count = full(some.shape(), lines.sorted.shape(0), DType::kI32);
  return finished(where(expand_dims(some, 0), NAN, quantiles(lines, count, o.method)), x, q, o);
}
Tensor percentile(const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  return quantile(x, of_percent(q), o);
}

Tensor nanquantile(const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  const Lines lines = lines_of("nanquantile", x, q, o);
  const Tensor count = sum(astype(numbers(lines.sorted), DType::kI32), Axes{0});
  // What NaN stands in for is multiplied by 0.
  const Tensor safe = where(is_nan(lines.sorted), 0.0, lines.sorted);
  const Tensor y = quantiles({safe, lines.q}, count, o.method);
  return finished(where(expand_dims(equal(count, 0), 0), NAN, y), x, q, o);
}
Tensor nanpercentile(const Tensor& x, const Tensor& q, const QuantileOptions& o) {
  return nanquantile(x, of_percent(q), o);
}
Tensor nanmedian(const Tensor& x, const QuantileOptions& o) { return nanquantile(x, 0.5, o); }

Tensor nanprod(const Tensor& x, const ReductionAxes& axes, bool keepdims) {
  return prod(where(is_nan(x), scalar(1, x.dtype()), x), axes, keepdims);
}

Tensor nanvar(const Tensor& x, const ReductionAxes& axes, bool keepdims, int64_t ddof) {
  ReduceOptions o{.keepdims = keepdims, .where = numbers(x), .ddof = ddof};
  if (axes.list()) o.axes = *axes.list();
  return var(where(is_nan(floating_operand(x)), 0.0, floating_operand(x)), o);
}
Tensor nanstd(const Tensor& x, const ReductionAxes& axes, bool keepdims, int64_t ddof) {
  return sqrt(nanvar(x, axes, keepdims, ddof));
}

namespace {

Tensor position_of(const Tensor& x, std::optional<int64_t> axis, bool keepdims, bool largest) {
  const Tensor y = floating_operand(x), nan = is_nan(y);
  const Tensor safe = where(nan, largest ? -HUGE_VAL : HUGE_VAL, y);
  const ReductionAxes axes = axis ? ReductionAxes(*axis) : ReductionAxes();
  return where(all(nan, axes, keepdims), -1,
               largest ? argmax(safe, axis, keepdims) : argmin(safe, axis, keepdims));
}

}  // namespace

Tensor nanargmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return position_of(x, axis, keepdims, true);
}
Tensor nanargmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return position_of(x, axis, keepdims, false);
}

Tensor nancumsum(const Tensor& x, int64_t axis) {
  return cumsum(where(is_nan(x), scalar(0, x.dtype()), x), axis);
}
Tensor nancumprod(const Tensor& x, int64_t axis) {
  return cumprod(where(is_nan(x), scalar(1, x.dtype()), x), axis);
}

}  // namespace linnet
