#include "linnet/linen/layers_weight_norm.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/layers/weight_norm.h"
#include "linnet/linen/collections.h"

namespace linnet::linen::detail {
namespace {

/// `layer_instance/dense/kernel`, of a path that begins with the collection.
std::string name_of(const FlatPath& path) {
  std::string out = kWrappedLayer;
  for (size_t i = 1; i < path.size(); ++i) out += "/" + path[i];
  return out;
}

bool is_chosen(const std::string& name, const std::vector<std::string>& filter) {
  return filter.empty() || std::any_of(filter.begin(), filter.end(), [&](const std::string& part) {
           return name.find(part) != std::string::npos;
         });
}

Tensor weight_normed(Scope& s, const std::string& name, const Tensor& weight,
                     const WeightNormSettings& settings) {
  Tensor scale;
  if (settings.use_scale) {
    scale = param(s, name + "/scale", settings.scale_init.value_or(init::ones()),
                  layers::weight_norm_scale_shape(weight.shape(), settings.feature_axes),
                  settings.param_dtype);
  }
  return layers::weight_normed(weight, scale, settings.feature_axes, settings.epsilon,
                               settings.dtype);
}

Tensor spectrally_normed(Scope& s, const std::string& name, const Tensor& weight,
                         const SpectralNormSettings& settings, bool update_stats) {
  if (weight.rank() <= 1 || settings.n_steps < 1) return weight;
  if (weight.rank() > 2 && settings.error_on_non_matrix) {
    fail<ValueError>("SpectralNorm: '{}' is no matrix, got {}", name, to_string(weight.type()));
  }
  const ScopeVariable u = s.variable(settings.collection_name, name + "/u", [&] {
    return random::normal(s.make_rng("params"), {1, weight.shape(-1)}, settings.param_dtype);
  });
  const ScopeVariable sigma = s.variable(settings.collection_name, name + "/sigma",
                                         [&] { return ones({}, settings.param_dtype); });
  const layers::SpectralNormed out = layers::spectrally_normed(weight, u.value(), settings.n_steps,
                                                               settings.epsilon, settings.dtype);
  if (update_stats) {
    u.set(out.u);
    sigma.set(out.sigma);
  }
  return out.weight;
}

}  // namespace

Variables weight_normed(Scope& s, const Variables& collections,
                        const WeightNormSettings& settings) {
  return path_aware_map(collections, [&](const FlatPath& path, const Tensor& weight) {
    const std::string name = name_of(path);
    return is_chosen(name, settings.variable_filter) ? weight_normed(s, name, weight, settings)
                                                     : weight;
  });
}

Variables spectrally_normed(Scope& s, const Variables& collections,
                            const SpectralNormSettings& settings, bool update_stats) {
  return path_aware_map(collections, [&](const FlatPath& path, const Tensor& weight) {
    return spectrally_normed(s, name_of(path), weight, settings, update_stats);
  });
}

}  // namespace linnet::linen::detail
