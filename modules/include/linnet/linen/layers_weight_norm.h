// Wrappers that normalise the weights of another layer: WeightNorm and SpectralNorm.
//
//   Tensor y = s("wn", linen::WeightNorm{linen::Dense{.features = 4}}, x);
//   Tensor z = s("sn", linen::SpectralNorm{linen::Dense{.features = 4}}, train, x);
//
// The layer's own parameters are below `layer_instance`, as those of a module that Flax finds in a
// field. At initialisation the normalised weights are what is stored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "linnet/linen/layers_init.h"
#include "linnet/linen/transforms_map.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

namespace detail {

inline constexpr const char* kWrappedLayer = "layer_instance";

struct WeightNormSettings {
  double epsilon;
  std::optional<DType> dtype;
  DType param_dtype;
  bool use_scale;
  ParamInit scale_init;
  std::optional<Axes> feature_axes;
  std::vector<std::string> variable_filter;
};
/// What the layer sees of its parameters; declares scales in `s`.
Variables weight_normed(Scope& s, const Variables& collections, const WeightNormSettings& settings);

struct SpectralNormSettings {
  int64_t n_steps;
  double epsilon;
  std::optional<DType> dtype;
  DType param_dtype;
  bool error_on_non_matrix;
  std::string collection_name;
};
/// The same by the largest singular value; declares and, if told, updates its statistics in `s`.
Variables spectrally_normed(Scope& s, const Variables& collections,
                            const SpectralNormSettings& settings, bool update_stats);

}  // namespace detail

/// Weights of length 1 along all axes but the feature axes, times a learned scale for each feature
/// (arXiv:1602.07868, L-136). Parameters `layer_instance/<path>/scale` of the sizes of the feature
/// axes, ones at first; without feature axes one for the whole weight.
template <class Layer>
struct WeightNorm {
  static constexpr const char* kClassName = "WeightNorm";

  Layer layer_instance;
  double epsilon = 1e-12;
  std::optional<DType> dtype =
      {};  ///< of the weights; by default theirs and the scales' common one
  DType param_dtype = DType::kF32;
  bool use_scale = true;
  ParamInit scale_init = {};
  std::optional<Axes> feature_axes = Axes{-1};
  /// Parameters whose path contains one of these texts; all if there is none.
  std::vector<std::string> variable_filter = {"kernel"};

  LINNET_FIELDS(layer_instance, epsilon, dtype, param_dtype, use_scale, scale_init, feature_axes,
                variable_filter)

  template <class... A>
  auto operator()(Scope& s, const A&... args) const {
    const VariableMap view = [&](const Variables& collections) {
      return detail::weight_normed(
          s, collections,
          {epsilon, dtype, param_dtype, use_scale, scale_init, feature_axes, variable_filter});
    };
    Scope child = s.child(detail::kWrappedLayer);
    return Scope::call(
        child, map_variables(layer_instance, "params", {.in = view, .init = s.is_initializing()}),
        args...);
  }
};
template <class Layer>
WeightNorm(Layer) -> WeightNorm<Layer>;

/// Matrices divided by an estimate of their largest singular value (arXiv:1802.05957, L-135), from
/// `n_steps` of power iteration that begin where the last ones ended. Variables
/// `layer_instance/<path>/u` [1, n], normal at first, and `…/sigma` []. Weights of more dimensions
/// count as matrices [-1, last]; vectors stay. No gradient flows through the iteration.
template <class Layer>
struct SpectralNorm {
  static constexpr const char* kClassName = "SpectralNorm";

  Layer layer_instance;
  int64_t n_steps = 1;
  double epsilon = 1e-12;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  bool error_on_non_matrix = false;
  std::string collection_name = "batch_stats";

  LINNET_FIELDS(layer_instance, n_steps, epsilon, dtype, param_dtype, error_on_non_matrix,
                collection_name)

  /// @param update_stats keeps the new estimate: in training, with the collection mutable.
  /// @throws ValueError for weights of more than two dimensions if that is an error.
  template <class... A>
  auto operator()(Scope& s, bool update_stats, const A&... args) const {
    const VariableMap view = [&](const Variables& collections) {
      return detail::spectrally_normed(
          s, collections,
          {n_steps, epsilon, dtype, param_dtype, error_on_non_matrix, collection_name},
          update_stats);
    };
    Scope child = s.child(detail::kWrappedLayer);
    return Scope::call(child,
                       map_variables(layer_instance, "params",
                                     {.in = view, .init = s.is_initializing(), .mutate = true}),
                       args...);
  }
};
template <class Layer>
SpectralNorm(Layer) -> SpectralNorm<Layer>;

}  // namespace linnet::linen

#pragma GCC visibility pop
