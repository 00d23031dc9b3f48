// Running metrics as object state: usable inside jitted steps as `T&`.
//
//   metrics::Accuracy accuracy;
//   accuracy.update(logits, labels);
//   double value = accuracy.compute().item<double>();
//
// Mean and variance: metrics_statistics.h. Precision, recall, F1, areas under curves and confusion
// matrices: metrics_classification.h. Several at once: metrics_multi.h.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

/// What a step measures, by name. Each metric takes the names it knows.
using Arguments = std::map<std::string, Tensor>;
/// The argument of that name. @throws ValueError listing the names that there are.
const Tensor& argument(const Arguments& arguments, const std::string& name);

/// Mean of all values since the last reset; NaN before the first. It is that of the first 2^31 - 1:
/// an update that would go beyond is not counted.
class Average {
 public:
  /// @param argname what `update` looks for among arguments.
  explicit Average(std::string argname = "values");
  /// @param mask of the values' shape or broadcast to it: those where it is 0 do not count.
  /// @throws ValueError for a mask with a plain number.
  void update(const Tensor& values, const Tensor& mask = {});
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, argname), mask);
  }
  /// f32[].
  Tensor compute() const;
  void reset();

  nnx::MetricState total, count;
  std::string argname;

  LINNET_FIELDS(total, count, argname)
};

/// Share of examples whose largest logit is the label's: logits f[..., classes], labels integer
/// [...]. With a threshold: of binary ones, logits f[...], whose logit is at least the threshold
/// just where the label is positive.
class Accuracy : public Average {
 public:
  explicit Accuracy(std::optional<double> threshold = {}) : threshold(threshold) {}
  /// @throws ShapeError if the shapes do not fit, DTypeError unless labels are integers.
  void update(const Tensor& logits, const Tensor& labels, const Tensor& mask = {});
  /// Of `logits` and `labels`.
  void update(const Arguments& arguments, const Tensor& mask = {}) {
    update(argument(arguments, "logits"), argument(arguments, "labels"), mask);
  }

  std::optional<double> threshold;

  LINNET_FIELDS_AND_BASE(Average, threshold)
};

}  // namespace linnet::metrics

#pragma GCC visibility pop
