#include "core/graph/fused_elementwise.h"

namespace linnet {

namespace {

template <class P>
const Primitive& define_cluster(const char* name) {
  return with_subgraphs(
      define(Composite<P>{.name = name,
                          .decompose = [](const P& q, Inputs x) { return run_graph(*q.body, x); },
                          .infer = [](const P& q, Inputs) { return result_types(*q.body); }}),
      [](ParamsRef params) { return std::vector<const Graph*>{params.as<P>().body.get()}; });
}

}  // namespace

const Primitive& fused_elementwise_primitive() {
  static const Primitive& p = define_cluster<FusedElementwiseParams>("fused_elementwise");
  return p;
}

const Primitive& fused_reduction_primitive() {
  static const Primitive& p = define_cluster<FusedReductionParams>("fused_reduction");
  return p;
}

const Graph* cluster_body(const Primitive& primitive, ParamsRef params) {
  if (&primitive == &fused_elementwise_primitive())
    return params.as<FusedElementwiseParams>().body.get();
  if (&primitive == &fused_reduction_primitive())
    return params.as<FusedReductionParams>().body.get();
  return nullptr;
}

}  // namespace linnet
