// linen::ConvLocal: a convolution with a kernel of its own for each output position.
//
//   Tensor y = s("local", linen::ConvLocal{.features = 4, .kernel = 3, .padding = "VALID"}, x);
//   // f32[n, 8, c] -> f32[n, 6, 4]
#pragma once

#include <optional>

#include "linnet/linen/layers_conv.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// x [batch..., spatial..., in] -> [batch..., out spatial..., features] (L-123). Parameters: kernel
/// [out spatial..., in * elements of the window, features], the elements of one channel beside each
/// other, and bias [out spatial..., features].
struct ConvLocal {
  int64_t features = 0;
  PerDimension kernel = 1;  ///< sizes of the window; one number means one spatial dimension
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension input_dilation = 1;
  PerDimension kernel_dilation = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};       ///< by default lecun_normal
  ParamInit bias_init = {};         ///< by default zeros
  std::optional<Tensor> mask = {};  ///< of the kernel's shape, multiplies it

  LINNET_FIELDS(features, kernel, strides, padding, input_dilation, kernel_dilation, use_bias,
                dtype, param_dtype, kernel_init, bias_init, mask)

  /// @throws ValueError for a mask of another shape.
  Tensor operator()(Scope& s, const Tensor& x) const;
};

}  // namespace linnet::linen

#pragma GCC visibility pop
