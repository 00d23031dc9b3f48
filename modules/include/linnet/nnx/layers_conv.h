// Object convolution layers.
//
//   nnx::Conv conv(1, 32, {3, 3}, {.use_bias = false}, rngs);
//   Tensor y = conv(image);                      // f32[n, h, w, 1] -> f32[n, h, w, 32]
#pragma once

#include <optional>

#include "linnet/layers/pooling.h"
#include "linnet/layers/window.h"
#include "linnet/nnx/layers_init.h"

namespace linnet::nnx {

using layers::Padding;
using layers::PerDimension;

struct ConvOptions {
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
  Metadata kernel_metadata = {};
  Metadata bias_metadata = {};
  Tensor mask = {};  ///< of the kernel's shape, multiplies it; undefined: none
};

/// Convolution over 1 to 3 spatial dimensions, channels last: x [batch..., spatial..., in] ->
/// [batch..., spatial..., out]; kernel [kernel_size..., in / groups, out], bias [out] (N-120). One
/// number as kernel_size means one spatial dimension.
class Conv {
 public:
  using Options = ConvOptions;
  Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size, Rngs& rngs);
  /// @throws ValueError for groups that do not divide the features.
  Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
       const Options& options, Rngs& rngs);

  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  PerDimension strides;
  Padding padding;
  PerDimension input_dilation, kernel_dilation;
  int64_t feature_group_count;
  std::optional<DType> dtype;
  std::optional<Tensor> mask;

  LINNET_FIELDS(kernel, bias, strides, padding, input_dilation, kernel_dilation,
                feature_group_count, dtype, mask)
};

struct ConvTransposeOptions {
  PerDimension strides = 1;
  Padding padding = "SAME";
  PerDimension kernel_dilation = 1;
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit kernel_init = {};
  ParamInit bias_init = {};
  Metadata kernel_metadata = {};
  Metadata bias_metadata = {};
  bool transpose_kernel = false;
  Tensor mask = {};  ///< of the kernel's shape, multiplies it; undefined: none
};

/// Fractionally strided convolution: x [batch..., spatial..., in] -> [batch..., spatial *
/// stride..., out] with SAME padding (N-121); kernel [kernel_size..., in, out], with
/// transpose_kernel [kernel_size..., out, in] and flipped.
class ConvTranspose {
 public:
  using Options = ConvTransposeOptions;
  ConvTranspose(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
                Rngs& rngs);
  ConvTranspose(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
                const Options& options, Rngs& rngs);

  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  PerDimension strides;
  Padding padding;
  PerDimension kernel_dilation;
  std::optional<DType> dtype;
  bool transpose_kernel;
  std::optional<Tensor> mask;

  LINNET_FIELDS(kernel, bias, strides, padding, kernel_dilation, dtype, transpose_kernel, mask)
};

}  // namespace linnet::nnx
