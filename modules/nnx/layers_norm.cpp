#include "linnet/nnx/layers_norm.h"

#include "linnet/detail/format.h"
#include "modules/layers/dropout.h"
#include "modules/layers/normalization.h"
#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {
namespace {

using layers::settings_of;

template <class Layer>
layers::ScaleBias parameters_of(const Layer& layer) {
  return {value_of(layer.scale), value_of(layer.bias)};
}

layers::BatchNormOutput apply(const BatchNorm& layer, const Tensor& x, bool running,
                              const Tensor& mask) {
  return layers::batch_norm(x, {layer.mean.value(), layer.var.value()}, parameters_of(layer),
                            running, layer.momentum, mask, settings_of(layer, layer.axis));
}

}  // namespace

BatchNorm::BatchNorm(int64_t num_features, const Options& options, RngsRef rngs)
    : Options(options),
      mean(zeros({num_features}, layers::statistics_dtype(options))),
      var(ones({num_features}, layers::statistics_dtype(options))),
      scale(make_scale(rngs, options, {num_features})),
      bias(make_bias(rngs, options, {num_features})),
      num_features(num_features) {
  drop_initialisers<Options>(*this);
}

Tensor BatchNorm::operator()(const Tensor& x, std::optional<bool> use_running_average_of_call,
                             const Tensor& mask) {
  const LayerPath path(mean);
  const bool running = use_running_average_of_call.value_or(use_running_average);
  const layers::BatchNormOutput out = apply(*this, x, running, mask);
  if (!running) {
    mean.set_value(stop_gradient(out.running.mean));
    var.set_value(stop_gradient(out.running.variance));
  }
  return out.y;
}

Tensor BatchNorm::operator()(const Tensor& x, std::optional<bool> use_running_average_of_call,
                             const Tensor& mask) const {
  const LayerPath path(mean);
  if (!use_running_average_of_call.value_or(use_running_average)) {
    fail<ModuleError>(
        "BatchNorm: batch statistics would move the running averages of a const layer\n"
        "  hint: nnx::eval(model) before serving it, or call a layer that is not const");
  }
  return apply(*this, x, true, mask).y;
}

LayerNorm::LayerNorm(int64_t num_features, const Options& options, RngsRef rngs)
    : Options(options),
      scale(make_scale(rngs, options, {num_features})),
      bias(make_bias(rngs, options, {num_features})),
      num_features(num_features) {
  drop_initialisers<Options>(*this);
}

Tensor LayerNorm::operator()(const Tensor& x, const Tensor& mask) const {
  const LayerPath path(scale, bias);
  return layers::layer_norm(x, parameters_of(*this), reduction_axes, mask,
                            settings_of(*this, feature_axes));
}

RMSNorm::RMSNorm(int64_t num_features, const Options& options, RngsRef rngs)
    : Options(options),
      scale(make_scale(rngs, options, {num_features})),
      num_features(num_features) {
  drop_initialisers<Options>(*this);
}

Tensor RMSNorm::operator()(const Tensor& x, const Tensor& mask) const {
  const LayerPath path(scale);
  return layers::rms_norm(x, value_of(scale), reduction_axes, mask,
                          settings_of(*this, feature_axes));
}

GroupNorm::GroupNorm(int64_t num_features, const Options& options, RngsRef rngs)
    : Options(options),
      scale(make_scale(rngs, options, {num_features})),
      bias(make_bias(rngs, options, {num_features})),
      num_features(num_features) {
  num_groups = layers::group_count(num_features, options.num_groups, options.group_size);
  group_size.reset();
  drop_initialisers<Options>(*this);
}

Tensor GroupNorm::operator()(const Tensor& x, const Tensor& mask) const {
  const LayerPath path(scale, bias);
  return layers::group_norm(x, parameters_of(*this), *num_groups, reduction_axes, mask,
                            settings_of(*this, {-1}));
}

InstanceNorm::InstanceNorm(int64_t num_features, const Options& options, RngsRef rngs)
    : Options(options),
      scale(make_scale(rngs, options, {num_features})),
      bias(make_bias(rngs, options, {num_features})),
      num_features(num_features) {
  drop_initialisers<Options>(*this);
}

Tensor InstanceNorm::operator()(const Tensor& x, const Tensor& mask) const {
  const LayerPath path(scale, bias);
  return layers::instance_norm(x, parameters_of(*this), mask, settings_of(*this, feature_axes));
}

Dropout::Dropout(double rate, const Options& options, RngsRef rngs) : Dropout(rate, options) {
  this->rngs.emplace(rngs->stream(rng_collection).fork());
}

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

Tensor Dropout::operator()(const Tensor& x, std::optional<bool> deterministic_of_call) const {
  return layers::dropout(
      x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic), []() -> Key {
        fail<ModuleError>(
            "Dropout: numbers are needed, and a const layer cannot advance its random stream\n"
            "  hint: nnx::eval(model) before serving it, or pass Rngs, a stream or a key to the "
            "call");
      });
}

Tensor Dropout::operator()(const Tensor& x, RngsRef rngs_of_call,
                           std::optional<bool> deterministic_of_call) const {
  return layers::dropout(x, rate, broadcast_dims, deterministic_of_call.value_or(deterministic),
                         [&] { return rngs_of_call->next(rng_collection); });
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
