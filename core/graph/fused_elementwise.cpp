#include "core/graph/fused_elementwise.h"

namespace linnet {

const Primitive& fused_elementwise_primitive() {
  static const Primitive& p = define(Composite<FusedElementwiseParams>{
      .name = "fused_elementwise",
      .decompose = [](const FusedElementwiseParams& q, Inputs x) { return run_graph(*q.body, x); },
      .infer =
          [](const FusedElementwiseParams& q, Inputs) {
            TypeList types;
            for (ValueId id : q.body->outputs) types.push_back(q.body->types[id]);
            return types;
          }});
  return p;
}

}  // namespace linnet
