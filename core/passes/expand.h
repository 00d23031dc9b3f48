// Private: replacing nodes by what their primitives decompose into.
#pragma once

#include <functional>

#include "core/graph/graph.h"

namespace linnet {

/// `graph` with every node that `decide` picks replaced by its decomposition, whose nodes are
/// decided upon in turn. Handed over, it is given back as it is if nothing is picked.
Graph expand_nodes(Graph graph,
                   const std::function<bool(const Graph::Node&, const TypeList& operands,
                                            const TypeList& results)>& decide);

}  // namespace linnet
