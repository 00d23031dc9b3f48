// Private: a cluster of elementwise operations as one primitive. The compiler makes it; nothing
// else emits it. Its kernel is a tile program; its decomposition is the body.
#pragma once

#include <memory>

#include "core/graph/graph.h"

namespace linnet {

/// All operands and results of the body have one shape, its iteration shape. Its nodes are
/// elementwise primitives named in the list of scalar functions, conversions, and broadcasts of
/// scalar constants.
struct FusedElementwiseParams {
  std::shared_ptr<const Graph> body;
  LINNET_FIELDS(body)
};

const Primitive& fused_elementwise_primitive();

}  // namespace linnet
