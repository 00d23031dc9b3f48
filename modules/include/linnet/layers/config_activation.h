// Settings of activations with parameters.
//
//   linen::PReLU{}                             // a slope for negative values that is learned
#pragma once

#include "linnet/layers/config.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// x where it is not negative, else negative_slope x (L-160). Parameter: negative_slope [], used in
/// the dtype of x.
template <class Api>
struct PReLU {
  DType param_dtype = DType::kF32;
  double negative_slope_init = 0.01;
  ObjectOnly<Api, Metadata> negative_slope_metadata{};

  LINNET_FIELDS(param_dtype, negative_slope_init, negative_slope_metadata)

  Tensor operator()(typename Api::Scope& s, const Tensor& x) const
    requires(Api::kFunctional);
};

}  // namespace linnet::layers

#pragma GCC visibility pop
