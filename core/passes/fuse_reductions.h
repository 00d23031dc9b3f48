// Private: the pass behind `fuse_elementwise`.
#pragma once

#include "core/graph/graph.h"

namespace linnet {

/// A reduction joins the cluster, or the elementwise node, that makes its operand, which is then
/// stored only if somebody else reads it.
void fuse_reductions(Graph& graph);

}  // namespace linnet
