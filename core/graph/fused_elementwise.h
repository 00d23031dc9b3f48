// Private: a cluster of elementwise operations as one primitive, alone or with a reduction that
// reads it. The compiler makes them; nothing else emits them. Their kernels are machine code and
// tile programs; their decomposition is the body.
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

/// A cluster and the reduction of one of its values, so that the value need not be stored. The last
/// node of the body reduces, and its result is the last one of the body; all others are those of a
/// cluster.
struct FusedReductionParams {
  std::shared_ptr<const Graph> body;
  LINNET_FIELDS(body)
};

const Primitive& fused_reduction_primitive();

/// The program of either of them, or null for any other primitive.
const Graph* cluster_body(const Primitive& primitive, ParamsRef params);
/// Whether all operands of a primitive have the shape of its iteration, and each element is read
/// before results of this shape are written there.
inline bool is_cluster(const Primitive& primitive) {
  return &primitive == &fused_elementwise_primitive() || &primitive == &fused_reduction_primitive();
}

}  // namespace linnet
