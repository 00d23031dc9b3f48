// Object convolution layers. Their options are described in layers/config_conv.h.
//
//   nnx::Conv conv(1, 32, {3, 3}, {.use_bias = false}, rngs);
//   Tensor y = conv(image);                      // f32[n, h, w, 1] -> f32[n, h, w, 32]
#pragma once

#include <optional>

#include "linnet/layers/config_conv.h"
#include "linnet/layers/pooling.h"
#include "linnet/nnx/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using layers::Padding;
using layers::PerDimension;
using ConvOptions = layers::Conv<Api>;
using ConvTransposeOptions = layers::ConvTranspose<Api>;

/// Convolution over 1 to 3 spatial dimensions, channels last: x [batch..., spatial..., in] ->
/// [batch..., spatial..., out]; kernel [kernel_size..., in / groups, out], bias [out] (N-120). One
/// number as kernel_size means one spatial dimension.
class Conv : public ConvOptions {
 public:
  using Options = ConvOptions;
  Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size, RngsRef rngs)
      : Conv(in_features, out_features, kernel_size, {}, rngs) {}
  /// @throws ValueError for groups that do not divide the features.
  Conv(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
       const Options& options, RngsRef rngs);

  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  int64_t in_features, out_features;
  PerDimension kernel_size;

  LINNET_FIELDS_AND_BASE(Options, kernel, bias, in_features, out_features, kernel_size)
};

/// Fractionally strided convolution: x [batch..., spatial..., in] -> [batch..., spatial *
/// stride..., out] with SAME padding (N-121); kernel [kernel_size..., in, out], with
/// transpose_kernel [kernel_size..., out, in] and flipped.
class ConvTranspose : public ConvTransposeOptions {
 public:
  using Options = ConvTransposeOptions;
  ConvTranspose(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
                RngsRef rngs)
      : ConvTranspose(in_features, out_features, kernel_size, {}, rngs) {}
  ConvTranspose(int64_t in_features, int64_t out_features, const PerDimension& kernel_size,
                const Options& options, RngsRef rngs);

  Tensor operator()(const Tensor& x) const;

  Param kernel;
  std::optional<Param> bias;
  int64_t in_features, out_features;
  PerDimension kernel_size;

  LINNET_FIELDS_AND_BASE(Options, kernel, bias, in_features, out_features, kernel_size)
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
