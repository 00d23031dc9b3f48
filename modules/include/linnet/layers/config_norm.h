// Settings of normalisation layers and dropout.
//
//   linen::BatchNorm{.momentum = 0.9}
//   nnx::BatchNorm(64, {.momentum = 0.9}, rngs)
//
// Normalisations divide by sqrt(variance + epsilon), multiply by `scale` and add `bias`; statistics
// are taken in f32 at least unless `force_float32_reductions` is off. A mask (bool, broadcast to x)
// leaves elements out of the statistics. The variance is that of the differences from the mean
// wherever one operation does the whole norm, which is at least as accurate as what
// `use_fast_variance` stands for, max(0, E[x²] - E[x]²); where it does not (masks, narrow
// reductions, axes that are not the last, a named axis), the flag chooses between the two.
//
// With `axis_name` statistics are averaged over all elements of that axis (collectives.h), or of
// its `axis_index_groups`: `vmap(step, {.axis_name = "batch"})`. With a mask that is the mean of
// the elements' own means, however much each of them leaves out.
#pragma once

#include <optional>
#include <string>

#include "linnet/collectives.h"
#include "linnet/layers/config.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// Statistics over all axes but `axis` (L-129, N-123). Parameters scale and bias, running averages
/// mean and var, f32 at least (collection `batch_stats`, kind BatchStat). With batch statistics the
/// running ones become momentum * running + (1 - momentum) * batch (biased variance); no gradient
/// flows through that. An empty batch leaves the running averages as they are. A functional layer
/// takes its own batch alone during init.
template <class Api>
struct BatchNorm {
  typename Api::Mode use_running_average = {};
  Axes axis = {-1};
  double momentum = 0.99;
  double epsilon = 1e-5;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  typename Api::ParamInit bias_init = {};
  typename Api::ParamInit scale_init = {};
  ObjectOnly<Api, Metadata> bias_metadata{};
  ObjectOnly<Api, Metadata> scale_metadata{};
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  LINNET_FIELDS(use_running_average, axis, momentum, epsilon, dtype, param_dtype, use_bias,
                use_scale, bias_init, scale_init, bias_metadata, scale_metadata, axis_name,
                axis_index_groups, use_fast_variance, force_float32_reductions)

  /// The running averages do not move during init; `apply_with` must name batch_stats in `mutate`.
  /// @throws ValueError unless use_running_average is given once, to the layer or here.
  Tensor operator()(typename Api::Scope& s, const Tensor& x,
                    std::optional<bool> use_running_average_of_call = {},
                    const Tensor& mask = {}) const
    requires(Api::kFunctional);
};

/// Per example over `reduction_axes`; scale and bias have the sizes of `feature_axes` (L-131,
/// N-124).
template <class Api>
struct LayerNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  typename Api::ParamInit bias_init = {};
  typename Api::ParamInit scale_init = {};
  ObjectOnly<Api, Metadata> bias_metadata{};
  ObjectOnly<Api, Metadata> scale_metadata{};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  LINNET_FIELDS(epsilon, dtype, param_dtype, use_bias, use_scale, bias_init, scale_init,
                bias_metadata, scale_metadata, reduction_axes, feature_axes, axis_name,
                axis_index_groups, use_fast_variance, force_float32_reductions)

  Tensor operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask = {}) const
    requires(Api::kFunctional);
};

/// Divides by the root mean square; no mean, no bias (L-132, N-124).
template <class Api>
struct RMSNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_scale = true;
  typename Api::ParamInit scale_init = {};
  ObjectOnly<Api, Metadata> scale_metadata{};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
  bool force_float32_reductions = true;

  LINNET_FIELDS(epsilon, dtype, param_dtype, use_scale, scale_init, scale_metadata, reduction_axes,
                feature_axes, axis_name, axis_index_groups, force_float32_reductions)

  Tensor operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask = {}) const
    requires(Api::kFunctional);
};

/// Over groups of neighbouring channels and all axes but the first (L-133, N-125). To give
/// group_size, set num_groups to none: `{.num_groups = {}, .group_size = 8}`.
template <class Api>
struct GroupNorm {
  std::optional<int64_t> num_groups = 32;
  std::optional<int64_t> group_size = {};
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  typename Api::ParamInit bias_init = {};
  typename Api::ParamInit scale_init = {};
  ObjectOnly<Api, Metadata> bias_metadata{};
  ObjectOnly<Api, Metadata> scale_metadata{};
  std::optional<Axes> reduction_axes = {};
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  LINNET_FIELDS(num_groups, group_size, epsilon, dtype, param_dtype, use_bias, use_scale, bias_init,
                scale_init, bias_metadata, scale_metadata, reduction_axes, axis_name,
                axis_index_groups, use_fast_variance, force_float32_reductions)

  /// @throws ValueError unless exactly one of num_groups and group_size is given and divides the
  /// channels.
  Tensor operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask = {}) const
    requires(Api::kFunctional);
};

/// Per example and channel over the other axes (L-134, N-126).
template <class Api>
struct InstanceNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  typename Api::ParamInit bias_init = {};
  typename Api::ParamInit scale_init = {};
  ObjectOnly<Api, Metadata> bias_metadata{};
  ObjectOnly<Api, Metadata> scale_metadata{};
  Axes feature_axes = {-1};
  std::optional<std::string> axis_name = {};
  AxisIndexGroups axis_index_groups = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  LINNET_FIELDS(epsilon, dtype, param_dtype, use_bias, use_scale, bias_init, scale_init,
                bias_metadata, scale_metadata, feature_axes, axis_name, axis_index_groups,
                use_fast_variance, force_float32_reductions)

  /// @throws ValueError if the first axis is a feature axis.
  Tensor operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask = {}) const
    requires(Api::kFunctional);
};

/// Zeroes elements at `rate` and divides the others by 1 - rate; one decision along
/// `broadcast_dims` (L-145, N-129). Identity if deterministic or the rate is 0; zeros at rate 1.
template <class Api>
struct Dropout {
  FunctionalOnly<Api, double> rate{0.0};
  Axes broadcast_dims = {};
  typename Api::Mode deterministic = {};
  std::string rng_collection = "dropout";

  LINNET_FIELDS(rate, broadcast_dims, deterministic, rng_collection)

  /// The key is `key` if given, else the next of the stream `rng_collection`.
  /// @throws ValueError unless deterministic is given once, to the layer or here.
  Tensor operator()(typename Api::Scope& s, const Tensor& x,
                    std::optional<bool> deterministic_of_call = {},
                    const std::optional<Key>& key = {}) const
    requires(Api::kFunctional);
};

}  // namespace linnet::layers

#pragma GCC visibility pop
