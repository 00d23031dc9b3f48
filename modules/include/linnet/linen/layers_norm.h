// Functional normalisation layers and dropout.
//
//   Tensor y = s("norm", linen::BatchNorm{.momentum = 0.9}, x, !train);     // use_running_average
//   Tensor z = s("drop", linen::Dropout{0.1}, y, !train);                   // deterministic
//
// Normalisations divide by sqrt(variance + epsilon), multiply by `scale` and add `bias`; statistics
// are taken in f32 at least. A mask (bool, broadcast to x) leaves elements out of the statistics.
#pragma once

#include <optional>
#include <string>

#include "linnet/linen/layers_init.h"

namespace linnet::linen {

/// Statistics over all axes but `axis` (L-129). Parameters scale and bias, collection `batch_stats`
/// mean and var, f32. With batch statistics the running ones become momentum * running + (1 -
/// momentum) * batch (biased variance), except during init; `apply_with` must then name batch_stats
/// in `mutate`.
struct BatchNorm {
  std::optional<bool> use_running_average = {};
  Axes axis = {-1};
  double momentum = 0.99;
  double epsilon = 1e-5;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  /// @throws ValueError unless use_running_average is given once, to the layer or here.
  Tensor operator()(Scope& s, const Tensor& x, std::optional<bool> use_running_average_of_call = {},
                    const Tensor& mask = {}) const;
};

/// Per example over `reduction_axes`; scale and bias have the sizes of `feature_axes` (L-131).
struct LayerNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  Tensor operator()(Scope& s, const Tensor& x, const Tensor& mask = {}) const;
};

/// Divides by the root mean square; no mean, no bias (L-132).
struct RMSNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_scale = true;
  ParamInit scale_init = {};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  bool force_float32_reductions = true;

  Tensor operator()(Scope& s, const Tensor& x, const Tensor& mask = {}) const;
};

/// Over groups of neighbouring channels and all axes but the first (L-133). To give group_size, set
/// num_groups to none: `{.num_groups = {}, .group_size = 8}`.
struct GroupNorm {
  std::optional<int64_t> num_groups = 32;
  std::optional<int64_t> group_size = {};
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  std::optional<Axes> reduction_axes = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  /// @throws ValueError unless exactly one of num_groups and group_size is given and divides the
  /// channels.
  Tensor operator()(Scope& s, const Tensor& x, const Tensor& mask = {}) const;
};

/// Per example and channel over the other axes (L-134).
struct InstanceNorm {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Axes feature_axes = {-1};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;

  Tensor operator()(Scope& s, const Tensor& x, const Tensor& mask = {}) const;
};

/// Zeroes elements at `rate` and divides the others by 1 - rate; one decision along
/// `broadcast_dims` (L-145). Identity if deterministic or the rate is 0; zeros at rate 1.
struct Dropout {
  double rate = 0;
  Axes broadcast_dims = {};
  std::optional<bool> deterministic = {};
  std::string rng_collection = "dropout";

  /// The key is `key` if given, else the next of the stream `rng_collection`.
  /// @throws ValueError unless deterministic is given once, to the layer or here.
  Tensor operator()(Scope& s, const Tensor& x, std::optional<bool> deterministic_of_call = {},
                    const std::optional<Key>& key = {}) const;
};

}  // namespace linnet::linen
