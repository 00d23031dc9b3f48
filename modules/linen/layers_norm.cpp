#include "linnet/linen/layers_norm.h"

#include "linnet/layers/merge_param.h"
#include "modules/layers/dropout.h"
#include "modules/layers/normalization.h"

namespace linnet::layers {
namespace {

/// Scale ones and bias zeros, where they are used.
template <class Layer>
ScaleBias scale_and_bias(linen::Scope& s, const Layer& layer, const Shape& shape) {
  ScaleBias out;
  if (layer.use_scale) {
    out.scale =
        param(s, "scale", layer.scale_init.value_or(init::ones()), shape, layer.param_dtype);
  }
  if constexpr (requires { layer.use_bias; }) {
    if (layer.use_bias) {
      out.bias =
          param(s, "bias", layer.bias_init.value_or(init::zeros()), shape, layer.param_dtype);
    }
  }
  return out;
}

}  // namespace

template <class Api>
Tensor BatchNorm<Api>::operator()(typename Api::Scope& s, const Tensor& x,
                                  std::optional<bool> use_running_average_of_call,
                                  const Tensor& mask) const
  requires(Api::kFunctional)
{
  const bool running = merge_param("BatchNorm", "use_running_average", use_running_average,
                                   use_running_average_of_call);
  const Shape shape = feature_shape(x.shape(), axis);
  const DType of_statistics = statistics_dtype(*this);
  const linen::ScopeVariable mean =
      s.variable("batch_stats", "mean", [&] { return zeros(shape, of_statistics); });
  const linen::ScopeVariable variance =
      s.variable("batch_stats", "var", [&] { return ones(shape, of_statistics); });
  NormSettings settings = settings_of(*this, axis);
  if (s.is_initializing()) settings.axis_name.reset();
  const BatchNormOutput out =
      batch_norm(x, {mean.value(), variance.value()}, scale_and_bias(s, *this, shape), running,
                 momentum, mask, settings);
  if (!running && !s.is_initializing()) {
    mean.set(out.running.mean);
    variance.set(out.running.variance);
  }
  return out.y;
}

template <class Api>
Tensor LayerNorm<Api>::operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask) const
  requires(Api::kFunctional)
{
  const ScaleBias parameters = scale_and_bias(s, *this, feature_shape(x.shape(), feature_axes));
  return layer_norm(x, parameters, reduction_axes, mask, settings_of(*this, feature_axes));
}

template <class Api>
Tensor RMSNorm<Api>::operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask) const
  requires(Api::kFunctional)
{
  const ScaleBias parameters = scale_and_bias(s, *this, feature_shape(x.shape(), feature_axes));
  return rms_norm(x, parameters.scale, reduction_axes, mask, settings_of(*this, feature_axes));
}

template <class Api>
Tensor GroupNorm<Api>::operator()(typename Api::Scope& s, const Tensor& x, const Tensor& mask) const
  requires(Api::kFunctional)
{
  const Shape shape = feature_shape(x.shape(), {-1});
  const int64_t groups = group_count(shape[0], num_groups, group_size);
  return group_norm(x, scale_and_bias(s, *this, shape), groups, reduction_axes, mask,
                    settings_of(*this, {-1}));
}

template <class Api>
Tensor InstanceNorm<Api>::operator()(typename Api::Scope& s, const Tensor& x,
                                     const Tensor& mask) const
  requires(Api::kFunctional)
{
  const ScaleBias parameters = scale_and_bias(s, *this, feature_shape(x.shape(), feature_axes));
  return instance_norm(x, parameters, mask, settings_of(*this, feature_axes));
}

template <class Api>
Tensor Dropout<Api>::operator()(typename Api::Scope& s, const Tensor& x,
                                std::optional<bool> deterministic_of_call,
                                const std::optional<Key>& key) const
  requires(Api::kFunctional)
{
  const bool off = merge_param("Dropout", "deterministic", deterministic, deterministic_of_call);
  return dropout(x, rate, broadcast_dims, off,
                 [&] { return key ? *key : s.make_rng(rng_collection); });
}

template struct BatchNorm<linen::Api>;
template struct LayerNorm<linen::Api>;
template struct RMSNorm<linen::Api>;
template struct GroupNorm<linen::Api>;
template struct InstanceNorm<linen::Api>;
template struct Dropout<linen::Api>;

}  // namespace linnet::layers
