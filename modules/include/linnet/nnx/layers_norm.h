// Object normalisation layers and dropout. Their options are described in layers/config_norm.h.
//
//   nnx::BatchNorm norm(64, {.momentum = 0.9}, rngs);
//   nnx::Dropout drop(0.1, rngs);
//   nnx::train(model);                                // batch statistics, dropout on
//   Tensor y = drop(norm(x));
//   nnx::eval(model);                                 // running averages, dropout off
//   Tensor z = std::as_const(drop)(std::as_const(norm)(x));
//
// In evaluation mode a layer reads and does not write, so const layers serve, and many threads may
// call one at once. A call that would write (move running averages, take the next random number) is
// an error on a const layer.
#pragma once

#include <concepts>
#include <optional>
#include <string>

#include "linnet/layers/config_norm.h"
#include "linnet/nnx/layers_init.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using BatchNormOptions = layers::BatchNorm<Api>;
using LayerNormOptions = layers::LayerNorm<Api>;
using RMSNormOptions = layers::RMSNorm<Api>;
using GroupNormOptions = layers::GroupNorm<Api>;
using InstanceNormOptions = layers::InstanceNorm<Api>;
using DropoutOptions = layers::Dropout<Api>;

/// Statistics over all axes but `axis`; running ones are `mean` and `var` (N-123).
class BatchNorm : public BatchNormOptions {
 public:
  using Options = BatchNormOptions;
  BatchNorm(int64_t num_features, RngsRef rngs) : BatchNorm(num_features, {}, rngs) {}
  BatchNorm(int64_t num_features, const Options& options, RngsRef rngs);

  /// The argument goes before the member of the same name.
  Tensor operator()(const Tensor& x, std::optional<bool> use_running_average_of_call = {},
                    const Tensor& mask = {});
  /// With the running averages only.
  /// @throws ModuleError if batch statistics are asked for, which would move them.
  Tensor operator()(const Tensor& x, std::optional<bool> use_running_average_of_call = {},
                    const Tensor& mask = {}) const;

  BatchStat mean, var;
  std::optional<Param> scale, bias;
  int64_t num_features;

  LINNET_FIELDS_AND_BASE(Options, mean, var, scale, bias, num_features)
};

/// Per example over `reduction_axes`; scale and bias [num_features] (N-124).
class LayerNorm : public LayerNormOptions {
 public:
  using Options = LayerNormOptions;
  LayerNorm(int64_t num_features, RngsRef rngs) : LayerNorm(num_features, {}, rngs) {}
  LayerNorm(int64_t num_features, const Options& options, RngsRef rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  int64_t num_features;

  LINNET_FIELDS_AND_BASE(Options, scale, bias, num_features)
};

/// Divides by the root mean square; no mean, no bias (N-124).
class RMSNorm : public RMSNormOptions {
 public:
  using Options = RMSNormOptions;
  RMSNorm(int64_t num_features, RngsRef rngs) : RMSNorm(num_features, {}, rngs) {}
  RMSNorm(int64_t num_features, const Options& options, RngsRef rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale;
  int64_t num_features;

  LINNET_FIELDS_AND_BASE(Options, scale, num_features)
};

/// Over groups of neighbouring channels and all axes but the first (N-125). `num_groups` is always
/// there, and `group_size` used up.
class GroupNorm : public GroupNormOptions {
 public:
  using Options = GroupNormOptions;
  GroupNorm(int64_t num_features, RngsRef rngs) : GroupNorm(num_features, {}, rngs) {}
  /// @throws ValueError unless exactly one of num_groups and group_size is given and divides the
  /// features.
  GroupNorm(int64_t num_features, const Options& options, RngsRef rngs);

  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  int64_t num_features;

  LINNET_FIELDS_AND_BASE(Options, scale, bias, num_features)
};

/// Per example and channel over the other axes (N-126).
class InstanceNorm : public InstanceNormOptions {
 public:
  using Options = InstanceNormOptions;
  InstanceNorm(int64_t num_features, RngsRef rngs) : InstanceNorm(num_features, {}, rngs) {}
  InstanceNorm(int64_t num_features, const Options& options, RngsRef rngs);

  /// @throws ValueError if the first axis is a feature axis.
  Tensor operator()(const Tensor& x, const Tensor& mask = {}) const;

  std::optional<Param> scale, bias;
  int64_t num_features;

  LINNET_FIELDS_AND_BASE(Options, scale, bias, num_features)
};

/// Zeroes elements at `rate` and divides the others by 1 - rate; one decision along
/// `broadcast_dims` (N-129). Identity if deterministic or the rate is 0; zeros at rate 1.
class Dropout : public DropoutOptions {
 public:
  using Options = DropoutOptions;
  /// Forks the stream `rng_collection` of `rngs`, which uses up one key.
  Dropout(double rate, RngsRef rngs) : Dropout(rate, {}, rngs) {}
  Dropout(double rate, const Options& options, RngsRef rngs);
  /// Without a stream of its own: calls must bring one.
  explicit Dropout(double rate, const Options& options = {}) : Options(options), rate(rate) {}

  /// With the next key of the layer's own stream; the argument goes before the member of the same
  /// name.
  /// @throws ModuleError if numbers are needed and there is no stream.
  Tensor operator()(const Tensor& x, std::optional<bool> deterministic_of_call = {});
  /// Without drawing numbers.
  /// @throws ModuleError if numbers are needed, which would advance the stream.
  Tensor operator()(const Tensor& x, std::optional<bool> deterministic_of_call = {}) const;
  /// With the next key of the stream `rng_collection` of `rngs_of_call`.
  Tensor operator()(const Tensor& x, RngsRef rngs_of_call,
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
  std::optional<RngStream> rngs;

  LINNET_FIELDS_AND_BASE(Options, rate, rngs)

 private:
  Tensor with_key(const Tensor& x, const Key& key, std::optional<bool> deterministic_of_call) const;
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
