// How object layers make their parameters from their options.
#pragma once

#include <optional>
#include <tuple>
#include <type_traits>

#include "linnet/nnx/layers_init.h"

namespace linnet::nnx {

template <class Options>
Param make_kernel(Rngs& rngs, const Options& options, const Shape& shape,
                  const std::optional<Shape>& drawn = {}) {
  return make_param(rngs, options.kernel_init, init::lecun_normal(), shape, options.param_dtype,
                    options.kernel_metadata, drawn);
}

/// None without `use_bias`.
template <class Options>
std::optional<Param> make_bias(Rngs& rngs, const Options& options, const Shape& shape,
                               const std::optional<Shape>& drawn = {}) {
  if (!options.use_bias) return std::nullopt;
  return make_param(rngs, options.bias_init, init::zeros(), shape, options.param_dtype,
                    options.bias_metadata, drawn);
}

/// None without `use_scale`.
template <class Options>
std::optional<Param> make_scale(Rngs& rngs, const Options& options, const Shape& shape) {
  if (!options.use_scale) return std::nullopt;
  return make_param(rngs, options.scale_init, init::ones(), shape, options.param_dtype,
                    options.scale_metadata);
}

inline Tensor value_of(const std::optional<Param>& variable) {
  return variable ? variable->value() : Tensor();
}

/// Initialisers and metadata have served when the parameters are made: a layer keeps no functions,
/// so that two of equal settings are equal.
template <class Options>
void drop_initialisers(Options& options) {
  const auto drop = []<class T>(T& field) {
    if constexpr (std::is_same_v<T, ParamInit> || std::is_same_v<T, Metadata>) field = T();
  };
  options.linnet_fields().apply([&](auto&... field) { (drop(field), ...); });
}

}  // namespace linnet::nnx
