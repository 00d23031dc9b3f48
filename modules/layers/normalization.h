// The mathematics of normalisation layers (L-127 to L-134). Statistics are taken in f32 at least.
#pragma once

#include <optional>
#include <string>

#include "linnet/collectives.h"
#include "linnet/ops.h"

namespace linnet::layers {

struct NormSettings {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  /// Variance as max(0, E[x²] - E[x]²); otherwise as E[(x - E[x])²]. Where one operation does the
  /// whole norm (statistics in f32 at least, no mask, trailing axes, no named axis) it is the
  /// second for both: as fast as the first and right for data with a large mean.
  bool fast_variance = true;
  /// Statistics in f32 at least; otherwise in x's dtype.
  bool force_float32 = true;
  /// Axes whose sizes scale and bias have.
  Axes feature_axes{-1};
  /// Over which statistics are averaged too.
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
};

/// Of a layer's settings (layers/config_norm.h).
template <class Config>
NormSettings settings_of(const Config& config, const Axes& feature_axes) {
  NormSettings out{.epsilon = config.epsilon,
                   .dtype = config.dtype,
                   .force_float32 = config.force_float32_reductions,
                   .feature_axes = feature_axes,
                   .axis_name = config.axis_name,
                   .axis_index_groups = config.axis_index_groups};
  if constexpr (requires { config.use_fast_variance; }) {
    out.fast_variance = config.use_fast_variance;
  }
  return out;
}

/// In which running averages are kept.
template <class Config>
DType statistics_dtype(const Config& config) {
  return config.force_float32_reductions ? promote_types(config.param_dtype, DType::kF32)
                                         : config.param_dtype;
}

/// Scale and bias; undefined ones are left out.
struct ScaleBias {
  Tensor scale, bias;
};

/// Sizes of `axes` in `shape`, in ascending order of axes: the shape of scale and bias.
Shape feature_shape(const Shape& shape, const Axes& axes);

struct Statistics {
  Tensor mean, variance;  ///< without the reduced axes
};
/// Mean and population variance over `axes`, of the elements where `mask` (broadcast to x) is true.
Statistics statistics(const Tensor& x, const Axes& axes, const Tensor& mask,
                      const NormSettings& settings);

struct BatchNormOutput {
  Tensor y;
  Statistics running;  ///< the new running averages; undefined if the given ones were used
};
/// Normalises over all axes but the feature axes. With `use_running_average` by `running`;
/// otherwise by the batch's statistics, which `running` then moves towards: momentum * running + (1
/// - momentum) * batch. An empty batch, or a mask
/// that leaves nothing of a feature, leaves them as they are.
BatchNormOutput batch_norm(const Tensor& x, const Statistics& running, const ScaleBias& parameters,
                           bool use_running_average, double momentum, const Tensor& mask,
                           const NormSettings& settings);
/// Normalises over `reduction_axes`.
Tensor layer_norm(const Tensor& x, const ScaleBias& parameters, const Axes& reduction_axes,
                  const Tensor& mask, const NormSettings& settings);
/// Divides by the root mean square over `reduction_axes`.
Tensor rms_norm(const Tensor& x, const Tensor& scale, const Axes& reduction_axes,
                const Tensor& mask, const NormSettings& settings);
/// Number of groups of `channels` channels.
/// @throws ValueError unless exactly one of the two is given and divides the channels.
int64_t group_count(int64_t channels, std::optional<int64_t> groups,
                    std::optional<int64_t> group_size);
/// Normalises each of `groups` groups of neighbouring channels (last axis) over `reduction_axes`,
/// which are by default all but the first.
/// @throws ValueError if they leave out the last axis.
Tensor group_norm(const Tensor& x, const ScaleBias& parameters, int64_t groups,
                  const std::optional<Axes>& reduction_axes, const Tensor& mask,
                  const NormSettings& settings);
/// Normalises each example and feature over all other axes.
/// @throws ValueError if the first axis is a feature axis.
Tensor instance_norm(const Tensor& x, const ScaleBias& parameters, const Tensor& mask,
                     const NormSettings& settings);

}  // namespace linnet::layers
