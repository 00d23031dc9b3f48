// The variables of an object module as a functional dictionary, and back.
//
//   linen::Variables all = bridge::variables(net);      // {"params": {...}, "batch_stats": {...}}
//   bridge::update(net, all);
#pragma once

#include <vector>

#include "linnet/linen/variables.h"
#include "linnet/nnx/graph.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

namespace detail {
linen::Variables variables_of(const std::vector<nnx::detail::NodeLeaf>& leaves);
void update_variables(const std::vector<nnx::detail::NodeLeaf>& leaves,
                      const linen::Variables& variables);
}  // namespace detail

/// Every variable at (collection of its type, path), random state and tensors that are no variables
/// left out; variables with metadata are boxed. A type nobody registered makes a collection of its
/// own name.
template <class M>
linen::Variables variables(M& module) {
  return detail::variables_of(nnx::detail::walk(nnx::detail::visitor_of(module)));
}

/// Writes values (and metadata of boxes) into the module's variables; those not named stay.
/// @throws ModuleError for unknown paths.
template <class M>
void update(M& module, const linen::Variables& variables) {
  detail::update_variables(nnx::detail::walk(nnx::detail::visitor_of(module)), variables);
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
