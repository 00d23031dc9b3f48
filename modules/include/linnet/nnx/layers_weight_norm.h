// Object wrappers that normalise the weights of another layer: WeightNorm and SpectralNorm.
//
//   nnx::WeightNorm wn(nnx::Linear(8, 4, rngs), rngs);
//   nnx::SpectralNorm sn(nnx::Linear(8, 4, rngs), {.n_steps = 2}, rngs);
//   Tensor y = wn(x), z = sn(x);          // the weights of the layers are normalised from now on
//   nnx::eval(sn);                        // its estimates stay as they are
//
// The layer is the member `layer_instance`. A call writes its normalised weights into its
// variables. linnet.h does not include this header.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"
#include "linnet/nnx/layers_init.h"
#include "linnet/nnx/layers_recurrent.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

struct WeightNormOptions {
  double epsilon = 1e-12;
  std::optional<DType> dtype =
      {};  ///< of the weights; by default theirs and the scales' common one
  DType param_dtype = DType::kF32;  ///< of the scales
  bool use_scale = true;
  ParamInit scale_init = {};  ///< by default ones
  std::optional<Axes> feature_axes = Axes{-1};
  Filter variable_filter = path_contains("kernel");

  LINNET_FIELDS(epsilon, dtype, param_dtype, use_scale, scale_init, feature_axes, variable_filter)
};

struct SpectralNormOptions {
  int64_t n_steps = 1;
  double epsilon = 1e-12;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;   ///< of the estimates
  bool error_on_non_matrix = false;  ///< whether weights of more than two dimensions are an error
  bool use_running_average = false;  ///< whether the estimates stay as they are: `nnx::eval`

  LINNET_FIELDS(n_steps, epsilon, dtype, param_dtype, error_on_non_matrix, use_running_average)
};

namespace detail {

using Scales = std::map<std::string, Param>;
using SpectralEstimates = std::map<std::string, BatchStat>;

/// One scale for each parameter of the layer that the filter chooses, by its path.
Scales make_scales(const std::vector<NodeLeaf>& layer, const WeightNormOptions& options,
                   Rngs& rngs);
void normalise_weights(const std::vector<NodeLeaf>& layer, const Scales& scales,
                       const WeightNormOptions& options);
/// `<path>/u` and `<path>/sigma` for each parameter of the layer that has more than one dimension.
SpectralEstimates make_spectral_estimates(const std::vector<NodeLeaf>& layer,
                                          const SpectralNormOptions& options, Rngs& rngs);
void normalise_spectrally(const std::vector<NodeLeaf>& layer, SpectralEstimates& estimates,
                          const SpectralNormOptions& options, bool update_stats);

}  // namespace detail

/// Weights of length 1 along all axes but the feature axes, times a learned scale for each feature
/// (arXiv:1602.07868, N-127). `scales` are Params by the path of their weight, of the sizes of the
/// feature axes; a key is drawn for each. (In Flax 0.12.8 they are plain arrays, which no optimiser
/// sees.)
template <class Layer>
class WeightNorm : public WeightNormOptions {
 public:
  using Options = WeightNormOptions;
  WeightNorm(Layer layer, RngsRef rngs) : WeightNorm(std::move(layer), Options(), rngs) {}
  WeightNorm(Layer layer, const Options& options, RngsRef rngs)
      : Options(options), layer_instance(std::move(layer)) {
    if (use_scale)
      scales = detail::make_scales(detail::walk(detail::visitor_of(layer_instance)), *this, rngs);
    scale_init = {};
  }

  /// @throws ModuleError if the layer has a chosen weight that it did not have at first.
  template <class... A>
  auto operator()(const A&... args) {
    detail::normalise_weights(detail::walk(detail::visitor_of(layer_instance)), scales, *this);
    return layer_instance(args...);
  }

  Layer layer_instance;
  detail::Scales scales;

  LINNET_FIELDS_AND_BASE(Options, layer_instance, scales)
};

/// Matrices divided by an estimate of their largest singular value (arXiv:1802.05957, N-128), from
/// `n_steps` of power iteration that begin where the last ones ended. `batch_stats` are BatchStats
/// by path: `<path>/u` [1, n], normal of standard deviation 0.01 at first, and `<path>/sigma` [].
/// Weights of more dimensions count as matrices [-1, last]; vectors stay. No gradient flows through
/// the iteration. A key is drawn for each matrix.
template <class Layer>
class SpectralNorm : public SpectralNormOptions {
 public:
  using Options = SpectralNormOptions;
  SpectralNorm(Layer layer, RngsRef rngs) : SpectralNorm(std::move(layer), Options(), rngs) {}
  /// @throws ValueError for weights of more than two dimensions if that is an error.
  SpectralNorm(Layer layer, const Options& options, RngsRef rngs)
      : Options(options),
        layer_instance(std::move(layer)),
        batch_stats(detail::make_spectral_estimates(
            detail::walk(detail::visitor_of(layer_instance)), *this, rngs)) {}

  /// @param update_stats keeps the new estimates; by default unless `use_running_average`.
  /// @throws ModuleError if the layer has a matrix that it did not have at first.
  auto operator()(const Tensor& x, std::optional<bool> update_stats = {}) {
    detail::normalise_spectrally(detail::walk(detail::visitor_of(layer_instance)), batch_stats,
                                 *this, update_stats.value_or(!use_running_average));
    return layer_instance(x);
  }

  Layer layer_instance;
  detail::SpectralEstimates batch_stats;

  LINNET_FIELDS_AND_BASE(Options, layer_instance, batch_stats)
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
