#include "linnet/nnx/layers_activation.h"

#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {

PReLU::PReLU(const Options& options)
    : Options(options),
      negative_slope(full({}, options.negative_slope_init, options.param_dtype),
                     options.negative_slope_metadata) {
  drop_initialisers<Options>(*this);
}

Tensor PReLU::operator()(const Tensor& x) const {
  const LayerPath path(negative_slope);
  return where(x >= 0, x, astype(negative_slope.value(), x.dtype()) * x);
}

}  // namespace linnet::nnx
