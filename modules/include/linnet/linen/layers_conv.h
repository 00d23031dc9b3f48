// Functional convolution layers.
//
//   Tensor y = s("conv", linen::Conv{.features = 32, .kernel = {3, 3}, .use_bias = false}, image);
//   // f32[n, h, w, c] -> f32[n, h, w, 32]
#pragma once

#include <optional>

#include "linnet/layers/pooling.h"
#include "linnet/layers/window.h"
#include "linnet/linen/layers_init.h"

namespace linnet::linen {

using layers::Padding;
using layers::PerDimension;

/// Convolution over 1 to 3 spatial dimensions, channels last: x [batch..., spatial..., in] ->
/// [batch..., spatial..., features]; batch dimensions may be missing or several. Parameters: kernel
/// [kernel..., in / groups, features], bias [features] (L-120, L-121).
struct Conv {
  int64_t features = 0;
  PerDimension kernel = 1;  ///< sizes of the window; one number means one spatial dimension
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension input_dilation = 1;
  PerDimension kernel_dilation = 1;
  int64_t feature_group_count = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};
  Tensor mask = {};  ///< of the kernel's shape, multiplies it; undefined: none

  /// @throws ValueError for groups that do not divide the features or a padding that does not fit.
  Tensor operator()(Scope& s, const Tensor& x) const;
};

/// Fractionally strided convolution: x [batch..., spatial..., in] -> [batch..., spatial *
/// stride..., features] with SAME padding (L-124). Parameters: kernel [kernel..., in, features],
/// with transpose_kernel [kernel..., features, in] and flipped; bias [features].
struct ConvTranspose {
  int64_t features = 0;
  PerDimension kernel = 1;
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension kernel_dilation = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};
  bool transpose_kernel = false;
  Tensor mask = {};  ///< of the kernel's shape, multiplies it; undefined: none

  Tensor operator()(Scope& s, const Tensor& x) const;
};

}  // namespace linnet::linen
