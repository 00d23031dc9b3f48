// Settings of convolution layers.
//
//   linen::Conv{.features = 32, .kernel = {3, 3}, .strides = 2}
//   nnx::Conv(1, 32, {3, 3}, {.strides = 2}, rngs)
#pragma once

#include <optional>

#include "linnet/layers/config.h"
#include "linnet/layers/window.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// Convolution over 1 to 3 spatial dimensions, channels last: x [batch..., spatial..., in] ->
/// [batch..., spatial..., features]; batch dimensions may be missing or several. Parameters: kernel
/// [kernel..., in / groups, features], bias [features] (L-120, L-121, N-120).
template <class Api>
struct Conv {
  FunctionalOnly<Api, int64_t> features{0};
  /// Sizes of the window; one number means one spatial dimension.
  FunctionalOnly<Api, PerDimension> kernel{1};
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension input_dilation = 1;
  PerDimension kernel_dilation = 1;
  int64_t feature_group_count = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit bias_init = {};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};
  std::optional<Tensor> mask = {};  ///< of the kernel's shape, multiplies it

  LINNET_FIELDS(features, kernel, strides, padding, input_dilation, kernel_dilation,
                feature_group_count, use_bias, dtype, param_dtype, kernel_init, bias_init,
                kernel_metadata, bias_metadata, mask)

  /// @throws ValueError for groups that do not divide the features or a padding that does not fit.
  Tensor operator()(typename Api::Scope& s, const Tensor& x) const
    requires(Api::kFunctional);
};

/// Fractionally strided convolution: x [batch..., spatial..., in] -> [batch..., spatial *
/// stride..., features] with SAME padding (L-124, N-121). Parameters: kernel [kernel..., in,
/// features], with transpose_kernel [kernel..., features, in] and flipped; bias [features].
template <class Api>
struct ConvTranspose {
  FunctionalOnly<Api, int64_t> features{0};
  FunctionalOnly<Api, PerDimension> kernel{1};
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension kernel_dilation = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit bias_init = {};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};
  bool transpose_kernel = false;
  std::optional<Tensor> mask = {};  ///< of the kernel's shape, multiplies it

  LINNET_FIELDS(features, kernel, strides, padding, kernel_dilation, use_bias, dtype, param_dtype,
                kernel_init, bias_init, kernel_metadata, bias_metadata, transpose_kernel, mask)

  Tensor operator()(typename Api::Scope& s, const Tensor& x) const
    requires(Api::kFunctional);
};

}  // namespace linnet::layers

#pragma GCC visibility pop
