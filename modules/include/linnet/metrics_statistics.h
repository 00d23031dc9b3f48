// Mean and variance of all that a training run measures.
//
//   metrics::Welford losses;
//   losses.update(loss);
//   metrics::Statistics s = losses.compute();
//   s.mean, s.standard_deviation, s.standard_error_of_mean
#pragma once

#include <string>

#include "linnet/metrics.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

struct Statistics {
  Tensor mean;
  Tensor standard_error_of_mean;  ///< standard deviation / sqrt(count)
  Tensor standard_deviation;      ///< of the population
};

/// Mean and variance of a stream, batch by batch (Welford 1962, Chan et al. 1979): the mean moves
/// by δ n / N, and the sum of squared deviations grows by that of the batch and δ² n M / N, with δ
/// the difference of means and M values before, n in the batch, N together. Batches that would make
/// N greater than 2^31 - 1 are not counted.
class Welford {
 public:
  explicit Welford(std::string argname = "values");
  void update(const Tensor& values);
  /// @throws ValueError for a mask, which it does not take.
  void update(const Arguments& arguments, const Tensor& mask = {});
  /// f32[] each; before the first value a mean of 0 and NaN.
  Statistics compute() const;
  void reset();

  nnx::MetricState count, mean, m2;
  std::string argname;

  LINNET_FIELDS(count, mean, m2, argname)
};

}  // namespace linnet::metrics

#pragma GCC visibility pop
