// Annotations of functional variables: boxes as tree nodes, and the specs and shardings of whole
// models, which may be abstract (eval_shape).
//
//   const auto specs = linen::get_partition_spec(variables);      // "params/dense/kernel" -> P(…)
//   const auto shardings = linen::logical_to_mesh_sharding(specs, mesh, rules);
//   linen::check_sharding(variables, mesh);
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "linnet/linen/collections.h"
#include "linnet/linen/scope.h"
#include "linnet/linen/tabulate.h"
#include "linnet/partitioning.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

using Specs = std::map<std::string, PartitionSpec>;
using Shardings = std::map<std::string, NamedSharding>;

namespace detail {
Specs specs_by_rules(const AxisRules& rules, const ModuleTable& calls);
}

/// A value (a leaf, a dictionary, or what has a box already) in a box.
Variables boxed(Variables value, Box box);
/// Whether a node is a box.
bool is_axis_metadata(const Variables& node);
/// Without the outermost box, below which there may be others; `unbox` removes all.
Variables unbox_once(const Variables& node);
/// Without any box, like `unbox`, and each value under the constraint of its outermost box (unless
/// `apply_constraint` is false): that of its own mesh, else of the current one; none without a
/// mesh. @throws as `with_sharding_constraint`.
Variables unbox(const Variables& tree, bool apply_constraint);
/// The tensor of a leaf, under the constraint of its box.
Tensor constrained_value(const Variables& leaf);
/// What `f` makes of each box (the outermost, with its value); other leaves as they are.
Variables map_axis_meta(const std::function<Variables(const Variables&)>& f, const Variables& tree);

/// The spec of every leaf, by path: the names of its box (logical names as they are; an NNXMeta's
/// after its rules), and `P()` without one. Static entries have none.
Specs get_partition_spec(const Variables& variables);
/// The same with a mesh. @throws as `check_spec`.
Shardings get_sharding(const Variables& variables, const Mesh& mesh);
/// Each spec translated (`logical_to_mesh_axes`).
Specs logical_to_mesh(const Specs& specs, const std::optional<AxisRules>& rules = {});
Shardings logical_to_mesh_sharding(const Specs& specs, const Mesh& mesh,
                                   const std::optional<AxisRules>& rules = {});

/// Specs of all variables that `linen::init` would make, on mesh axes, from a table of rules alone:
/// by the box of a variable if it has one, else by the natural names of its layer
/// (layers/axis_names.h); `P()` without either. A module is a layer of Linnet by the name of its
/// class, transformed or not. Nothing is computed; arguments are as of `module_table`.
/// @throws as `logical_to_mesh_axes`.
template <class Module, class... A>
Specs specs_by_rules(const AxisRules& rules, const Module& module, const RngStreams& rngs,
                     const A&... args) {
  return detail::specs_by_rules(
      rules, linen::module_table({.show_repeated = true}, module, rngs, args...));
}

/// Looks at all annotations: names, ranks and sizes. `rules` translate logical boxes that have none
/// of their own. @throws SpecError with the path and the fault of every one that is wrong.
void check_sharding(const Variables& variables, const Mesh& mesh,
                    const std::optional<AxisRules>& rules = {});

/// `scope.param` that gives the parameter in its box.
Variables boxed_param(Scope& scope, const std::string& name,
                      const std::function<Variables(const Key&)>& init);

}  // namespace linnet::linen

#pragma GCC visibility pop
