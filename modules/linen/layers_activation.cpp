#include "linnet/linen/layers_activation.h"

namespace linnet::layers {

template <class Api>
Tensor PReLU<Api>::operator()(typename Api::Scope& s, const Tensor& x) const
  requires(Api::kFunctional)
{
  const Tensor slope =
      s.param("negative_slope", init::constant(negative_slope_init), {}, param_dtype);
  return where(x >= 0, x, astype(slope, x.dtype()) * x);
}

template struct PReLU<linen::Api>;

}  // namespace linnet::layers
