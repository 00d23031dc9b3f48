// Private: floating-point operations of a program.
#pragma once

#include "core/graph/graph.h"

namespace linnet {

/// Of one run, with the programs that nodes hold.
int64_t flops_of(const Graph& graph);

}  // namespace linnet
