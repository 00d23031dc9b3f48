// Object normalisation layers and dropout.
//
//   nnx::BatchNorm norm(64, {.momentum = 0.9}, rngs);
//   nnx::Dropout drop(0.1, rngs);
//   nnx::train(model);                                // batch statistics, dropout on
//   Tensor y = drop(norm(x));
//   Tensor z = norm(x, true);                         // this call: running averages, whatever the
//   mode
//
// Normalisations divide by sqrt(variance + epsilon), multiply by `scale` and add `bias`; statistics
// are taken in f32 at least. A mask (bool, broadcast to x) leaves elements out of the statistics.
#pragma once

#include <concepts>
#include <optional>
#include <string>

#include "linnet/nnx/layers_init.h"

namespace linnet::nnx {

struct BatchNormOptions {
  bool use_running_average = false;
  Axes axis = {-1};
  double momentum = 0.99;
  double epsilon = 1e-5;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Metadata bias_metadata = {};
  Metadata scale_metadata = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;
};

/// Statistics over all axes but `axis` (N-123). With batch statistics the running ones, `mean` and
/// `var`, become momentum * running + (1 - momentum) * batch (biased variance); no gradient flows
/// through that.
class BatchNorm {
 public:
  using Options = BatchNormOptions;
  BatchNorm(int64_t num_features, Rngs& rngs);
  BatchNorm(int64_t num_features, const Options& options, Rngs& rngs);

  /// The argument goes before the member of the same name.
  Tensor operator()(const Tensor& x, std::optional<bool> use_running_average_of_call = {},
                    const Tensor& mask = {});

  BatchStat mean, var;
  std::optional<Param> scale, bias;
  bool use_running_average;
  Axes axis;
  double momentum, epsilon;
  std::optional<DType> dtype;
  bool use_fast_variance, force_float32_reductions;

  LINNET_FIELDS(mean, var, scale, bias, use_running_average, axis, momentum, epsilon, dtype,
                use_fast_variance, force_float32_reductions)
};

struct LayerNormOptions {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Metadata bias_metadata = {};
  Metadata scale_metadata = {};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;
};

/// Per example over `reduction_axes`; scale and bias [num_features] (N-124).
class LayerNorm {
 public:
  using Options = LayerNormOptions;
  LayerNorm(int64_t num_features, Rngs& rngs);
  LayerNorm(int64_t num_features, const Options& options, Rngs& rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  double epsilon;
  std::optional<DType> dtype;
  Axes reduction_axes, feature_axes;
  bool use_fast_variance, force_float32_reductions;

  LINNET_FIELDS(scale, bias, epsilon, dtype, reduction_axes, feature_axes, use_fast_variance,
                force_float32_reductions)
};

struct RMSNormOptions {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_scale = true;
  ParamInit scale_init = {};
  Metadata scale_metadata = {};
  Axes reduction_axes = {-1};
  Axes feature_axes = {-1};
  bool force_float32_reductions = true;
};

/// Divides by the root mean square; no mean, no bias (N-124).
class RMSNorm {
 public:
  using Options = RMSNormOptions;
  RMSNorm(int64_t num_features, Rngs& rngs);
  RMSNorm(int64_t num_features, const Options& options, Rngs& rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale;
  double epsilon;
  std::optional<DType> dtype;
  Axes reduction_axes, feature_axes;
  bool force_float32_reductions;

  LINNET_FIELDS(scale, epsilon, dtype, reduction_axes, feature_axes, force_float32_reductions)
};

struct GroupNormOptions {
  std::optional<int64_t> num_groups = 32;
  std::optional<int64_t> group_size = {};
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Metadata bias_metadata = {};
  Metadata scale_metadata = {};
  std::optional<Axes> reduction_axes = {};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;
};

/// Over groups of neighbouring channels and all axes but the first (N-125). To give group_size, set
/// num_groups to none.
class GroupNorm {
 public:
  using Options = GroupNormOptions;
  GroupNorm(int64_t num_features, Rngs& rngs);
  /// @throws ValueError unless exactly one of num_groups and group_size is given and divides the
  /// features.
  GroupNorm(int64_t num_features, const Options& options, Rngs& rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  int64_t num_groups;
  double epsilon;
  std::optional<DType> dtype;
  std::optional<Axes> reduction_axes;
  bool use_fast_variance, force_float32_reductions;

  LINNET_FIELDS(scale, bias, num_groups, epsilon, dtype, reduction_axes, use_fast_variance,
                force_float32_reductions)
};

struct InstanceNormOptions {
  double epsilon = 1e-6;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool use_bias = true;
  bool use_scale = true;
  ParamInit bias_init = {};
  ParamInit scale_init = {};
  Metadata bias_metadata = {};
  Metadata scale_metadata = {};
  Axes feature_axes = {-1};
  bool use_fast_variance = true;
  bool force_float32_reductions = true;
};

/// Per example and channel over the other axes (N-126).
class InstanceNorm {
 public:
  using Options = InstanceNormOptions;
  InstanceNorm(int64_t num_features, Rngs& rngs);
  InstanceNorm(int64_t num_features, const Options& options, Rngs& rngs);

  /// @throws ValueError if the first axis is a feature axis.
  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  double epsilon;
  std::optional<DType> dtype;
  Axes feature_axes;
  bool use_fast_variance, force_float32_reductions;

  LINNET_FIELDS(scale, bias, epsilon, dtype, feature_axes, use_fast_variance,
                force_float32_reductions)
};

struct DropoutOptions {
  Axes broadcast_dims = {};
  bool deterministic = false;
  std::string rng_collection = "dropout";
};

/// Zeroes elements at `rate` and divides the others by 1 - rate; one decision along
/// `broadcast_dims` (N-129). Identity if deterministic or the rate is 0; zeros at rate 1.
class Dropout {
 public:
  using Options = DropoutOptions;
  /// Forks the stream `rng_collection` of `rngs`, which uses up one key.
  Dropout(double rate, Rngs& rngs);
  Dropout(double rate, const Options& options, Rngs& rngs);
  /// Without a stream of its own: calls must bring one.
  explicit Dropout(double rate, const Options& options = {});

  /// With the next key of the layer's own stream; the argument goes before the member of the same
  /// name.
  /// @throws ModuleError if numbers are needed and there is no stream.
  Tensor operator()(const Tensor& x, std::optional<bool> deterministic_of_call = {});
  /// With the next key of the stream `rng_collection` of `rngs_of_call`.
  Tensor operator()(const Tensor& x, Rngs& rngs_of_call,
                    std::optional<bool> deterministic_of_call = {}) const;
  /// With the next key of a stream.
  Tensor operator()(const Tensor& x, RngStream& stream,
                    std::optional<bool> deterministic_of_call = {}) const;
  /// With this key (a template so that a bool is not taken for a key).
  template <std::same_as<Key> K>
  Tensor operator()(const Tensor& x, const K& key,
                    std::optional<bool> deterministic_of_call = {}) const {
    return with_key(x, key, deterministic_of_call);
  }

  double rate;
  Axes broadcast_dims;
  bool deterministic;
  std::string rng_collection;
  std::optional<RngStream> rngs;

  LINNET_FIELDS(rate, broadcast_dims, deterministic, rng_collection, rngs)

 private:
  Tensor with_key(const Tensor& x, const Key& key, std::optional<bool> deterministic_of_call) const;
};

}  // namespace linnet::nnx
