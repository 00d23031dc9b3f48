// Running metrics as object state: usable inside jitted steps as `T&`.
//
//   metrics::Accuracy accuracy;
//   accuracy.update(logits, labels);
//   double value = accuracy.compute().item<double>();
#pragma once

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::metrics {

/// Mean of all values since the last reset; NaN before the first.
class Average {
 public:
  Average();
  void update(const Tensor& values);
  /// f32[].
  Tensor compute() const;
  void reset();

  LINNET_FIELDS(total, count)

  nnx::MetricState total, count;
};

/// Share of examples whose largest logit is the label's: logits f[..., classes], labels integer
/// [...].
class Accuracy : public Average {
 public:
  /// @throws ShapeError if the shapes do not fit.
  void update(const Tensor& logits, const Tensor& labels);
};

}  // namespace linnet::metrics

#pragma GCC visibility pop
