#include "core/graph/fused_elementwise.h"

namespace linnet {

const Primitive& fused_elementwise_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Composite<FusedElementwiseParams>{
          .name = "fused_elementwise",
          .decompose = [](const FusedElementwiseParams& q,
                          Inputs x) { return run_graph(*q.body, x); },
          .infer = [](const FusedElementwiseParams& q, Inputs) { return result_types(*q.body); }}),
      [](ParamsRef params) {
        return std::vector<const Graph*>{params.as<FusedElementwiseParams>().body.get()};
      });
  return p;
}

}  // namespace linnet
