#include "linnet/nnx/layers_weight_norm.h"

#include "linnet/detail/format.h"
#include "linnet/layers/weight_norm.h"

namespace linnet::nnx::detail {
namespace {

/// A parameter of the wrapped layer.
struct Weight {
  std::string name;
  Variable variable;
};

std::vector<Weight> weights_of(const std::vector<NodeLeaf>& layer, const Filter& filter) {
  std::vector<Weight> out;
  // A copy of a state has variables of its own.
  const std::vector<State> params = filter_state(state_of(layer), {of_type<Param>()});
  for (const auto& [path, leaf] : params[0].entries())
    if (filter(path, leaf)) out.push_back({tree::to_string(path), Variable(leaf.cell)});
  return out;
}

template <class Found>
auto& found_in(Found& variables, const std::string& name, const char* layer) {
  const auto at = variables.find(name);
  if (at == variables.end()) {
    fail<ModuleError>(
        "{}: there is no '{}'; the wrapped layer had another structure when it was wrapped", layer,
        name);
  }
  return at->second;
}

bool is_matrix(const Weight& weight, const SpectralNormOptions& options) {
  const Tensor value = weight.variable.value();
  if (value.rank() <= 1 || options.n_steps < 1) return false;
  if (value.rank() > 2 && options.error_on_non_matrix) {
    fail<ValueError>("SpectralNorm: '{}' is no matrix, got {}", weight.name,
                     to_string(value.type()));
  }
  return true;
}

}  // namespace

Scales make_scales(const std::vector<NodeLeaf>& layer, const WeightNormOptions& options,
                   Rngs& rngs) {
  Scales out;
  for (const Weight& weight : weights_of(layer, options.variable_filter)) {
    const Shape sizes =
        layers::weight_norm_scale_shape(weight.variable.shape(), options.feature_axes);
    out.emplace(weight.name,
                make_param(rngs, options.scale_init, init::ones(), sizes, options.param_dtype));
  }
  return out;
}

void normalise_weights(const std::vector<NodeLeaf>& layer, const Scales& scales,
                       const WeightNormOptions& options) {
  for (Weight& weight : weights_of(layer, options.variable_filter)) {
    const Tensor scale =
        options.use_scale ? found_in(scales, weight.name, "WeightNorm").value() : Tensor();
    weight.variable.set_value(layers::weight_normed(
        weight.variable.value(), scale, options.feature_axes, options.epsilon, options.dtype));
  }
}

SpectralEstimates make_spectral_estimates(const std::vector<NodeLeaf>& layer,
                                          const SpectralNormOptions& options, Rngs& rngs) {
  SpectralEstimates out;
  for (const Weight& weight : weights_of(layer, everything())) {
    if (!is_matrix(weight, options)) continue;
    out.emplace(weight.name + "/u",
                BatchStat(init::normal()(rngs.params(), {1, weight.variable.shape(-1)},
                                         options.param_dtype)));
    out.emplace(weight.name + "/sigma", BatchStat(ones({}, options.param_dtype)));
  }
  return out;
}

void normalise_spectrally(const std::vector<NodeLeaf>& layer, SpectralEstimates& estimates,
                          const SpectralNormOptions& options, bool update_stats) {
  for (Weight& weight : weights_of(layer, everything())) {
    if (!is_matrix(weight, options)) continue;
    BatchStat& u = found_in(estimates, weight.name + "/u", "SpectralNorm");
    BatchStat& sigma = found_in(estimates, weight.name + "/sigma", "SpectralNorm");
    const layers::SpectralNormed out = layers::spectrally_normed(
        weight.variable.value(), u.value(), options.n_steps, options.epsilon, options.dtype);
    if (update_stats) {
      u = out.u;
      sigma = out.sigma;
    }
    weight.variable.set_value(out.weight);
  }
}

}  // namespace linnet::nnx::detail
