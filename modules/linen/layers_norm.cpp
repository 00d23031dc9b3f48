#include "linnet/linen/layers_norm.h"

#include "modules/layers/dropout.h"
#include "modules/layers/normalization.h"

namespace linnet::linen {
namespace {

/// Scale ones and bias zeros, where they are used.
template <class Layer>
layers::ScaleBias scale_and_bias(Scope& s, const Layer& layer, const Shape& shape) {
  layers::ScaleBias out;
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

template <class Layer>
layers::NormSettings settings_of(const Layer& layer, const Axes& feature_axes) {
  layers::NormSettings out{.epsilon = layer.epsilon,
                           .dtype = layer.dtype,
                           .force_float32 = layer.force_float32_reductions,
                           .feature_axes = feature_axes};
  if constexpr (requires { layer.use_fast_variance; }) out.fast_variance = layer.use_fast_variance;
  return out;
}

}  // namespace

Tensor BatchNorm::operator()(Scope& s, const Tensor& x,
                             std::optional<bool> use_running_average_of_call,
                             const Tensor& mask) const {
  const bool running = layers::given_once("BatchNorm", "use_running_average", use_running_average,
                                          use_running_average_of_call);
  const Shape shape = layers::feature_shape(x.shape(), axis);
  const DType dtype_of_statistics =
      force_float32_reductions ? promote_types(param_dtype, DType::kF32) : param_dtype;
  const ScopeVariable mean =
      s.variable("batch_stats", "mean", [&] { return zeros(shape, dtype_of_statistics); });
  const ScopeVariable variance =
      s.variable("batch_stats", "var", [&] { return ones(shape, dtype_of_statistics); });
  const layers::BatchNormOutput out =
      layers::batch_norm(x, {mean.value(), variance.value()}, scale_and_bias(s, *this, shape),
                         running, momentum, mask, settings_of(*this, axis));
  if (!running && !s.is_initializing()) {
    mean.set(out.running.mean);
    variance.set(out.running.variance);
  }
  return out.y;
}

Tensor LayerNorm::operator()(Scope& s, const Tensor& x, const Tensor& mask) const {
  const layers::ScaleBias parameters =
      scale_and_bias(s, *this, layers::feature_shape(x.shape(), feature_axes));
  return layers::layer_norm(x, parameters, reduction_axes, mask, settings_of(*this, feature_axes));
}

Tensor RMSNorm::operator()(Scope& s, const Tensor& x, const Tensor& mask) const {
  const layers::ScaleBias parameters =
      scale_and_bias(s, *this, layers::feature_shape(x.shape(), feature_axes));
  return layers::rms_norm(x, parameters.scale, reduction_axes, mask,
                          settings_of(*this, feature_axes));
}

Tensor GroupNorm::operator()(Scope& s, const Tensor& x, const Tensor& mask) const {
  const Shape shape = layers::feature_shape(x.shape(), {-1});
  const int64_t groups = layers::group_count(shape[0], num_groups, group_size);
  return layers::group_norm(x, scale_and_bias(s, *this, shape), groups, reduction_axes, mask,
                            settings_of(*this, {-1}));
}

Tensor InstanceNorm::operator()(Scope& s, const Tensor& x, const Tensor& mask) const {
  const layers::ScaleBias parameters =
      scale_and_bias(s, *this, layers::feature_shape(x.shape(), feature_axes));
  return layers::instance_norm(x, parameters, mask, settings_of(*this, feature_axes));
}

Tensor Dropout::operator()(Scope& s, const Tensor& x, std::optional<bool> deterministic_of_call,
                           const std::optional<Key>& key) const {
  const bool off =
      layers::given_once("Dropout", "deterministic", deterministic, deterministic_of_call);
  return layers::dropout(x, rate, broadcast_dims, off,
                         [&] { return key ? *key : s.make_rng(rng_collection); });
}

}  // namespace linnet::linen
