// Private: a program as it was recorded, one operation after the other, so that what happens has
// the names of the source. Slow.
#pragma once

#include "core/graph/graph.h"

namespace linnet {

/// Outside all transformations, on concrete tensors.
TensorList run_by_operation(const Graph& graph, Inputs inputs);

}  // namespace linnet
