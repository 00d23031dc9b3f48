#include "linnet/nnx/layers_norm.h"

#include "core/base/format.h"
#include "modules/layers/dropout.h"
#include "modules/layers/normalization.h"

namespace linnet::nnx {
namespace {

template <class Options>
std::optional<Param> make_scale(Rngs& rngs, const Options& options, int64_t features) {
  if (!options.use_scale) return std::nullopt;
  return make_param(rngs, options.scale_init, init::ones(), {features}, options.param_dtype,
                    options.scale_metadata);
}

template <class Options>
std::optional<Param> make_bias(Rngs& rngs, const Options& options, int64_t features) {
  if (!options.use_bias) return std::nullopt;
  return make_param(rngs, options.bias_init, init::zeros(), {features}, options.param_dtype,
                    options.bias_metadata);
}

Tensor value_of(const std::optional<Param>& variable) {
  return variable ? variable->value() : Tensor();
}

template <class Layer>
layers::ScaleBias parameters_of(const Layer& layer) {
  return {value_of(layer.scale), value_of(layer.bias)};
}

template <class Layer>
layers::NormSettings settings_of(const Layer& layer, const Axes& feature_axes) {
  return {.epsilon = layer.epsilon,
          .dtype = layer.dtype,
          .fast_variance = layer.use_fast_variance,
          .force_float32 = layer.force_float32_reductions,
          .feature_axes = feature_axes};
}

DType statistics_dtype(const BatchNormOptions& options) {
  return options.force_float32_reductions ? promote_types(options.param_dtype, DType::kF32)
                                          : options.param_dtype;
}

}  // namespace

BatchNorm::BatchNorm(int64_t num_features, Rngs& rngs) : BatchNorm(num_features, Options{}, rngs) {}

BatchNorm::BatchNorm(int64_t num_features, const Options& options, Rngs& rngs)
    : mean(zeros({num_features}, statistics_dtype(options))),
      var(ones({num_features}, statistics_dtype(options))),
      scale(make_scale(rngs, options, num_features)),
      bias(make_bias(rngs, options, num_features)),
      use_running_average(options.use_running_average),
      axis(options.axis),
      momentum(options.momentum),
      epsilon(options.epsilon),
      dtype(options.dtype),
      use_fast_variance(options.use_fast_variance),
      force_float32_reductions(options.force_float32_reductions) {}

Tensor BatchNorm::operator()(const Tensor& x, std::optional<bool> use_running_average_of_call,
                             const Tensor& mask) {
  const bool running = use_running_average_of_call.value_or(use_running_average);
  const layers::BatchNormOutput out =
      layers::batch_norm(x, {mean.value(), var.value()}, parameters_of(*this), running, momentum,
                         mask, settings_of(*this, axis));
  if (!running) {
    mean.set_value(stop_gradient(out.running.mean));
    var.set_value(stop_gradient(out.running.variance));
  }
  return out.y;
}

LayerNorm::LayerNorm(int64_t num_features, Rngs& rngs) : LayerNorm(num_features, Options{}, rngs) {}

LayerNorm::LayerNorm(int64_t num_features, const Options& options, Rngs& rngs)
    : scale(make_scale(rngs, options, num_features)),
      bias(make_bias(rngs, options, num_features)),
      epsilon(options.epsilon),
      dtype(options.dtype),
      reduction_axes(options.reduction_axes),
      feature_axes(options.feature_axes),
      use_fast_variance(options.use_fast_variance),
      force_float32_reductions(options.force_float32_reductions) {}

Tensor LayerNorm::operator()(const Tensor& x, const Tensor& mask) const {
  return layers::layer_norm(x, parameters_of(*this), reduction_axes, mask,
                            settings_of(*this, feature_axes));
}

RMSNorm::RMSNorm(int64_t num_features, Rngs& rngs) : RMSNorm(num_features, Options{}, rngs) {}

RMSNorm::RMSNorm(int64_t num_features, const Options& options, Rngs& rngs)
    : scale(make_scale(rngs, options, num_features)),
      epsilon(options.epsilon),
      dtype(options.dtype),
      reduction_axes(options.reduction_axes),
      feature_axes(options.feature_axes),
      force_float32_reductions(options.force_float32_reductions) {}

Tensor RMSNorm::operator()(const Tensor& x, const Tensor& mask) const {
  return layers::rms_norm(x, value_of(scale), reduction_axes, mask,
                          {.epsilon = epsilon,
                           .dtype = dtype,
                           .force_float32 = force_float32_reductions,
                           .feature_axes = feature_axes});
}

GroupNorm::GroupNorm(int64_t num_features, Rngs& rngs) : GroupNorm(num_features, Options{}, rngs) {}

GroupNorm::GroupNorm(int64_t num_features, const Options& options, Rngs& rngs)
    : scale(make_scale(rngs, options, num_features)),
      bias(make_bias(rngs, options, num_features)),
      num_groups(layers::group_count(num_features, options.num_groups, options.group_size)),
      epsilon(options.epsilon),
      dtype(options.dtype),
      reduction_axes(options.reduction_axes),
      use_fast_variance(options.use_fast_variance),
      force_float32_reductions(options.force_float32_reductions) {}

Tensor GroupNorm::operator()(const Tensor& x, const Tensor& mask) const {
  return layers::group_norm(x, parameters_of(*this), num_groups, reduction_axes, mask,
                            settings_of(*this, {-1}));
}

InstanceNorm::InstanceNorm(int64_t num_features, Rngs& rngs)
    : InstanceNorm(num_features, Options{}, rngs) {}

InstanceNorm::InstanceNorm(int64_t num_features, const Options& options, Rngs& rngs)
    : scale(make_scale(rngs, options, num_features)),
      bias(make_bias(rngs, options, num_features)),
      epsilon(options.epsilon),
      dtype(options.dtype),
      feature_axes(options.feature_axes),
      use_fast_variance(options.use_fast_variance),
      force_float32_reductions(options.force_float32_reductions) {}

Tensor InstanceNorm::operator()(const Tensor& x, const Tensor& mask) const {
  return layers::instance_norm(x, parameters_of(*this), mask, settings_of(*this, feature_axes));
}

Dropout::Dropout(double rate, Rngs& rngs) : Dropout(rate, Options{}, rngs) {}

Dropout::Dropout(double rate, const Options& options, Rngs& rngs) : Dropout(rate, options) {
  this->rngs.emplace(rngs.stream(rng_collection).fork());
}

Dropout::Dropout(double rate, const Options& options)
    : rate(rate),
      broadcast_dims(options.broadcast_dims),
      deterministic(options.deterministic),
      rng_collection(options.rng_collection) {}

Tensor Dropout::operator()(const Tensor& x, std::optional<bool> deterministic_of_call) {
  return layers::dropout(
      x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic), [&] {
        if (!rngs) {
          fail<ModuleError>(
              "Dropout: numbers are needed and there is no random stream\n"
              "  hint: construct it with Rngs, or pass Rngs, a stream or a key to the call");
        }
        return rngs->next();
      });
}

Tensor Dropout::operator()(const Tensor& x, Rngs& rngs_of_call,
                           std::optional<bool> deterministic_of_call) const {
  return layers::dropout(x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic),
                         [&] { return rngs_of_call.next(rng_collection); });
}

Tensor Dropout::operator()(const Tensor& x, RngStream& stream,
                           std::optional<bool> deterministic_of_call) const {
  return layers::dropout(x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic),
                         [&] { return stream.next(); });
}

Tensor Dropout::with_key(const Tensor& x, const Key& key,
                         std::optional<bool> deterministic_of_call) const {
  return layers::dropout(x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic),
                         [&] { return key; });
}

}  // namespace linnet::nnx
