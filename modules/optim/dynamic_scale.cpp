#include "linnet/dynamic_scale.h"

#include <limits>

#include "linnet/detail/format.h"

namespace linnet::optim {

Tensor all_finite(const TensorList& tensors) {
  Tensor out = Tensor(true).to(tensors.empty() ? default_device() : tensors[0].device());
  for (const Tensor& t : tensors) {
    if (is_inexact(t.dtype())) out = logical_and(out, all(is_finite(t)));
  }
  return out;
}

DynamicScale::DynamicScale(const DynamicScaleOptions& options)
    : options_(options),
      factor_(astype(Tensor(options.initial), DType::kF32).to(default_device())),
      finite_steps_(Tensor(0).to(default_device())) {
  if (!(options.growth_factor > 1) || !(options.backoff_factor < 1) ||
      !(options.backoff_factor > 0)) {
    fail<ValueError>(
        "DynamicScale: growth_factor {} must be above 1, backoff_factor {} between 0 and 1",
        options.growth_factor, options.backoff_factor);
  }
  if (options.growth_interval < 1)
    fail<ValueError>("DynamicScale: growth_interval {}, at least 1", options.growth_interval);
}

Tensor DynamicScale::scaled(const Tensor& loss) const {
  return astype(loss, DType::kF32) * factor_.value();
}

Tensor DynamicScale::unscaled_leaf(const Tensor& gradient, const Tensor& factor) {
  return astype(gradient, is_complex(gradient.dtype()) ? DType::kC64 : DType::kF32) / factor;
}

void DynamicScale::move(const Tensor& finite) {
  const Tensor factor = factor_.value(), steps = finite_steps_.value();
  const Tensor grow = equal(steps, static_cast<int>(options_.growth_interval));
  const Tensor grown =
      minimum(factor * options_.growth_factor, double{std::numeric_limits<float>::max()});
  const Tensor after_finite = where(logical_and(grow, finite), grown, factor);
  const Tensor after_infinite = maximum(factor * options_.backoff_factor, options_.minimum);
  factor_ = where(finite, after_finite, after_infinite);
  finite_steps_ = where(logical_or(grow, logical_not(finite)), 0, steps + 1);
}

}  // namespace linnet::optim
