// vmap of functional modules, and views of their variables.
//
//   // params/experts/kernel f32[8, in, 64]: eight layers side by side, each with its own
//   parameters const auto experts = linen::vmap(linen::Dense{.features = 64},
//                                    {.variable_axes = {{"params", 0}},
//                                     .split_rngs = {{"params", true}},
//                                     .in_axes = {kNone}, .axis_size = 8});
//   Tensor y = s("experts", experts, x);                                    // f32[8, batch, 64]
#pragma once

#include <functional>
#include <string>

#include "linnet/linen/lifted_call.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

struct VmapOptions {
  VariableAxes variable_axes = {};
  SplitRngs split_rngs = {};
  /// One axis per argument, for all its leaves (negative counts from the end; kNone: not mapped).
  /// Empty: 0 for all.
  std::vector<std::optional<int64_t>> in_axes = {};
  /// One axis for all results, or one per element of a tuple or pair result. Empty: 0.
  std::vector<std::optional<int64_t>> out_axes = {};
  /// Needed only if no argument and no variable is mapped.
  std::optional<int64_t> axis_size = {};
  /// What collectives inside call the batch (collectives.h): the `axis_name` of a batch norm.
  std::string axis_name = {};
  /// Handed to boxes that get or lose the axis: `{"partition_name", "expert"}`.
  Metadata metadata_params = {};
  LINNET_FIELDS(variable_axes, split_rngs, in_axes, out_axes, axis_size, axis_name, metadata_params)
};

/// Makes of the variables of a scope, collections by name, those that are seen in their place.
using VariableMap = std::function<Variables(const Variables&)>;

struct MapVariablesOptions {
  VariableMap in = {};   ///< what the module sees; none: as they are
  VariableMap out = {};  ///< what is kept of that which it wrote
  /// Makes the variables by a run of the module first, if anything may be written.
  bool init = false;
  /// Lets the module write what it sees.
  bool mutate = false;
  CollectionFilter rngs = true;
  CollectionFilter variables = true;  ///< that are seen besides those mapped
  LINNET_FIELDS(in, out, init, mutate, rngs, variables)
};

namespace detail {

TensorList vmap_call(const VmapOptions& options, const ScopeFunction& f);
TensorList map_variables_call(const CollectionFilter& mapped, const MapVariablesOptions& options,
                              const ScopeFunction& f);
VariableMap exchanged_collections(const std::string& a, const std::string& b);

struct VmapTransform {
  static constexpr const char* kPrefix = "Vmap";
  VmapOptions options;
  LINNET_FIELDS(options)

  template <class Module, class... A>
  auto apply(const Module& module, Scope& scope, const A&... args) const {
    ScopeCall<Module, A...> call(module, scope, args...);
    return call.result(vmap_call(options, call.function()));
  }
};

struct MapVariablesTransform {
  static constexpr const char* kPrefix = "Map_variables";
  CollectionFilter mapped;
  MapVariablesOptions options;
  LINNET_FIELDS(mapped, options)

  template <class Module, class... A>
  auto apply(const Module& module, Scope& scope, const A&... args) const {
    ScopeCall<Module, A...> call(module, scope, args...);
    return call.result(map_variables_call(mapped, options, call.function()));
  }
};

/// Boxes without the axis inside, with it outside.
MapVariablesTransform metadata_axis(const CollectionAxis& entry, const Metadata& parameters);

}  // namespace detail

/// `module` over a batch (L-082): every mapped argument, result and variable has one more
/// dimension.
/// @throws ValueError if sizes along mapped axes differ or none is known (L-083), or if a result or
/// variable without an axis differs between the elements of the batch; ModuleError for a box with
/// sharding and no `partition_name` (L-101).
template <class Module>
auto vmap(Module module, VmapOptions options = {}) {
  return Lifted<detail::VmapTransform, Module>({std::move(options)}, std::move(module));
}

/// `module` on variables seen through `options.in`, and kept through `options.out` if it may write
/// them: weights that are tied, normed or stored in another form (L-091). Without `init` or
/// `mutate` the mapped collections are read-only inside.
template <class Module>
auto map_variables(Module module, CollectionFilter mapped, MapVariablesOptions options = {}) {
  return Lifted<detail::MapVariablesTransform, Module>({std::move(mapped), std::move(options)},
                                                       std::move(module));
}

/// `module` with the collections `a` and `b` exchanged (L-092).
template <class Module>
auto swap_collection(Module module, const std::string& a, const std::string& b) {
  const VariableMap exchange = detail::exchanged_collections(a, b);
  return linen::map_variables(std::move(module), CollectionFilter(std::vector<std::string>{a, b}),
                              {.in = exchange, .out = exchange, .mutate = true});
}

/// `module` with boxes that have one axis less inside than outside, as in a loop written by hand
/// (L-100). Arrays are not touched.
/// @throws as Variables' add_axis and remove_axis.
template <class Module>
auto add_metadata_axis(Module module, const CollectionAxis& entry, const Metadata& parameters) {
  return Lifted<detail::MapVariablesTransform, Module>(detail::metadata_axis(entry, parameters),
                                                       std::move(module));
}

}  // namespace linnet::linen

#pragma GCC visibility pop
