// The mathematics of convolution layers.
#pragma once

#include <optional>

#include "linnet/layers/window.h"
#include "linnet/ops.h"

namespace linnet::layers {

/// Of one convolution layer; the numbers are per spatial dimension or one for all.
struct ConvSettings {
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension input_dilation = 1, kernel_dilation = 1;
  int64_t feature_groups = 1;
  std::optional<DType> dtype = {};
};

/// Of a layer's settings (layers/config_conv.h).
template <class Config>
ConvSettings conv_settings(const Config& config) {
  return {.strides = config.strides,
          .padding = config.padding,
          .input_dilation = config.input_dilation,
          .kernel_dilation = config.kernel_dilation,
          .feature_groups = config.feature_group_count,
          .dtype = config.dtype};
}

/// Kernel [spatial..., in / groups, out].
/// @throws ValueError if the groups do not divide both.
Shape conv_kernel_shape(const Shape& kernel, int64_t in, int64_t out, int64_t groups);
/// x [batch..., spatial..., in], kernel [spatial..., in / groups, out], bias [out] or undefined,
/// mask of the kernel's shape or undefined -> [batch..., spatial..., out]. Correlation: the kernel
/// is not flipped. Batch dimensions may be missing or several (L-120 to L-122).
Tensor conv(const Tensor& x, const Tensor& kernel, const Tensor& bias, const Tensor& mask,
            const ConvSettings& settings);

/// The windows that a convolution looks at: x [batch..., spatial..., in] -> [batch..., out
/// spatial..., in * elements of the kernel], all of one channel beside each other.
Tensor conv_patches(const Tensor& x, const Shape& kernel, const ConvSettings& settings);
/// A kernel and a bias of its own for each position (L-123): patches [batch..., out spatial...,
/// in], kernel [out spatial..., in, features], bias [out spatial..., features] or undefined ->
/// [batch..., out spatial..., features].
Tensor conv_local(const Tensor& patches, const Tensor& kernel, const Tensor& bias,
                  std::optional<DType> dtype);

/// Of one fractionally strided convolution layer.
struct ConvTransposeSettings {
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension kernel_dilation = 1;
  /// The kernel is [spatial..., out, in] and also flipped: the transpose of the convolution with
  /// the same kernel.
  bool transpose_kernel = false;
  std::optional<DType> dtype = {};
};

/// Of a layer's settings (layers/config_conv.h).
template <class Config>
ConvTransposeSettings conv_transpose_settings(const Config& config) {
  return {.strides = config.strides,
          .padding = config.padding,
          .kernel_dilation = config.kernel_dilation,
          .transpose_kernel = config.transpose_kernel,
          .dtype = config.dtype};
}

/// x [batch..., spatial..., in], kernel [spatial..., in, out] -> [batch..., spatial * stride (SAME
/// and CIRCULAR)..., out] (L-124).
Tensor conv_transpose(const Tensor& x, const Tensor& kernel, const Tensor& bias, const Tensor& mask,
                      const ConvTransposeSettings& settings);

}  // namespace linnet::layers
