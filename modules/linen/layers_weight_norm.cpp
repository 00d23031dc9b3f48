#include "linnet/linen/layers_weight_norm.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/layers/dtypes.h"
#include "linnet/linen/collections.h"

namespace linnet::linen::detail {
namespace {

/// x / |x| along `axes`; none: as it is.
Tensor l2_normalised(const Tensor& x, const Axes& axes, double epsilon) {
  return x * rsqrt(sum(square(x), ReductionAxes(axes), true) + epsilon);
}

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
  const Axes features = settings.feature_axes
                            ? normalize_axes(*settings.feature_axes, weight.rank(), "WeightNorm")
                            : Axes();
  Axes reduced;
  Shape sizes, broadcast(weight.rank(), 1);
  for (int64_t axis = 0; axis < static_cast<int64_t>(weight.rank()); ++axis) {
    if (std::find(features.begin(), features.end(), axis) == features.end())
      reduced.push_back(axis);
  }
  for (const int64_t axis : features) {
    sizes.push_back(weight.shape(axis));
    broadcast[axis] = weight.shape(axis);
  }
  // No axes to sum over would mean all of them: each element is then its own length.
  Tensor out = reduced.empty() ? weight * rsqrt(square(weight) + settings.epsilon)
                               : l2_normalised(weight, reduced, settings.epsilon);
  Tensor scale;
  if (settings.use_scale) {
    scale = param(s, name + "/scale", settings.scale_init.value_or(init::ones()), sizes,
                  settings.param_dtype);
    out = out * reshape(scale, broadcast);
  }
  return astype(out, layers::canonicalize_dtype({weight, scale}, settings.dtype));
}

Tensor spectrally_normed(Scope& s, const std::string& name, const Tensor& weight,
                         const SpectralNormSettings& settings, bool update_stats) {
  if (weight.rank() <= 1 || settings.n_steps < 1) return weight;
  if (weight.rank() > 2 && settings.error_on_non_matrix) {
    fail<ValueError>("SpectralNorm: '{}' is no matrix, got {}", name, to_string(weight.type()));
  }
  const int64_t columns = weight.shape(-1);
  const Tensor matrix = reshape(weight, {weight.size() / std::max<int64_t>(columns, 1), columns});
  const ScopeVariable u = s.variable(settings.collection_name, name + "/u", [&] {
    return random::normal(s.make_rng("params"), {1, columns}, settings.param_dtype);
  });
  const ScopeVariable sigma = s.variable(settings.collection_name, name + "/sigma",
                                         [&] { return ones({}, settings.param_dtype); });
  Tensor right = u.value(), left;
  for (int64_t step = 0; step < settings.n_steps; ++step) {
    left = l2_normalised(matmul(right, transpose(matrix)), {0, 1}, settings.epsilon);
    right = l2_normalised(matmul(left, matrix), {0, 1}, settings.epsilon);
  }
  right = stop_gradient(right);
  left = stop_gradient(left);
  const Tensor norm = reshape(matmul(matmul(left, matrix), transpose(right)), {});
  const Tensor out = matrix / where(norm != 0, norm, 1);
  if (update_stats) {
    u.set(right);
    sigma.set(norm);
  }
  return astype(reshape(out, weight.shape()),
                layers::canonicalize_dtype({weight, right, left, norm}, settings.dtype));
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
