// Private: replacing nodes by what their primitives decompose into.
#pragma once

#include <functional>

#include "core/graph/graph.h"

namespace linnet {

/// A copy of `graph` in which every node that `decide` picks is replaced by its decomposition,
/// whose nodes are decided upon in turn.
Graph expand_nodes(const Graph& graph,
                   const std::function<bool(const Graph::Node&, const TypeList& operands,
                                            const TypeList& results)>& decide);

}  // namespace linnet
