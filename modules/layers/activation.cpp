#include "linnet/layers/activation.h"

#include "linnet/detail/format.h"

namespace linnet::layers {
namespace {

Tensor mean_where(const Tensor& x, const Axes& axis, const Tensor& chosen) {
  if (!chosen.defined()) return mean(x, axis, true);
  const Tensor mask = broadcast_to(chosen, x.shape());
  return sum(where(mask, x, 0), axis, true) / sum(astype(mask, x.dtype()), axis, true);
}

}  // namespace

Tensor hard_swish(const Tensor& x) { return hard_silu(x); }

Tensor standardize(const Tensor& x, const StandardizeOptions& options) {
  if (!is_floating(x.dtype()))
    fail<DTypeError>("standardize: expected floating values, got {}", to_string(x.type()));
  const Tensor mean =
      options.mean.defined() ? options.mean : mean_where(x, options.axis, options.where);
  const Tensor variance = options.variance.defined()
                              ? options.variance
                              : mean_where(square(x), options.axis, options.where) - square(mean);
  return (x - mean) * rsqrt(variance + options.epsilon);
}

}  // namespace linnet::layers
