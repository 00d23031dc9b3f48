// Statistics of jax.numpy, beside those of ops.h and numpy.h: histograms, covariances, quantiles of
// all kinds, reductions that leave out NaN.
//
//   auto [counts, edges] = histogram(x, {.bins = 20, .range = {{0, 1}}});
//   Tensor q = nanquantile(x, tensor({0.1f, 0.9f}), {.axis = 0});      // [2, ...]
//
// The umbrella header does not include this one.
#pragma once

#include <optional>
#include <utility>

#include "linnet/numpy.h"

#pragma GCC visibility push(default)

namespace linnet {

struct HistogramOptions {
  int64_t bins = 10;
  Tensor edges = {};                                    ///< ascending, in place of `bins`
  std::optional<std::pair<double, double>> range = {};  ///< by default from least to largest
  Tensor weights = {};                                  ///< of the elements, of their shape
  bool density = false;  ///< divided by the widths of the bins and by the sum
};
struct Histogram {
  Tensor counts;  ///< [bins], floating
  Tensor edges;   ///< [bins + 1]
};
/// How many of all elements are in each bin, which has its lower edge; the last one has both.
/// Elements outside, and NaN, are in none.
Histogram histogram(const Tensor& x, const HistogramOptions& options = {});
/// Evenly spaced edges [bins + 1]; around a range without extent, one half to both sides.
Tensor histogram_bin_edges(const Tensor& x, int64_t bins = 10,
                           std::optional<std::pair<double, double>> range = {});
/// The number of the bin of each element, i32: below all edges 0, beyond all the length of `edges`,
/// which ascend or descend. The lower edge belongs to a bin, or the upper one if `right`.
Tensor digitize(const Tensor& x, const Tensor& edges, bool right = false);

/// sum(w x) / sum(w): weights of the shape of `x`, or of its axis; none means the mean.
Tensor average(const Tensor& x, const Tensor& weights = {}, std::optional<int64_t> axis = {});
struct CovarianceOptions {
  bool rows = true;  ///< are the variables; otherwise columns
  int64_t ddof = 1;
};
/// Covariances of variables of which there are n samples: x [k, n] or [n] -> [k, k] or [].
Tensor cov(const Tensor& x, const CovarianceOptions& options = {});
/// Divided by the deviations, within [-1, 1].
Tensor corrcoef(const Tensor& x, bool rows = true);
/// The largest less the least.
Tensor ptp(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);

/// What a quantile between two elements is.
enum class QuantileMethod : uint8_t { kLinear, kLower, kHigher, kMidpoint, kNearest };
struct QuantileOptions {
  std::optional<int64_t> axis = {};
  bool keepdims = false;
  QuantileMethod method = QuantileMethod::kLinear;
};
/// As `quantile` of numpy.h.
Tensor quantile(const Tensor& x, const Tensor& q, const QuantileOptions& options);
/// q in percent.
Tensor percentile(const Tensor& x, const Tensor& q, const QuantileOptions& options = {});
/// Of the elements that are not NaN; of none, NaN.
Tensor nanquantile(const Tensor& x, const Tensor& q, const QuantileOptions& options = {});
Tensor nanpercentile(const Tensor& x, const Tensor& q, const QuantileOptions& options = {});
Tensor nanmedian(const Tensor& x, const QuantileOptions& options = {});

/// Of the elements that are not NaN; of none, 1 for the product, NaN for variance and deviation, -1
/// for positions.
Tensor nanprod(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false);
Tensor nanvar(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false,
              int64_t ddof = 0);
Tensor nanstd(const Tensor& x, const ReductionAxes& axes = {}, bool keepdims = false,
              int64_t ddof = 0);
Tensor nanargmax(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
Tensor nanargmin(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
/// NaN counts as 0, in the product as 1.
Tensor nancumsum(const Tensor& x, int64_t axis);
Tensor nancumprod(const Tensor& x, int64_t axis);

}  // namespace linnet

#pragma GCC visibility pop
