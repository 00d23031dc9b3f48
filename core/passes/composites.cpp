#include "core/graph/rewrite.h"
#include "core/passes/expand.h"
#include "core/passes/passes.h"
#include "core/trace/eval.h"

namespace linnet {

bool has_kernel(const Primitive& primitive, ParamsRef params, const TypeList& operands,
                const TypeList& results) {
  const Device device = operands.empty() ? results[0].device : operands[0].device;
  const size_t alignment = back_end_of(device).widest_alignment();
  std::vector<Strides> strides;
  std::vector<OperandView> views;
  strides.reserve(operands.size() + results.size());
  for (const TypeList* types : {&operands, &results}) {
    for (const TensorType& type : *types) {
      strides.push_back(dense_strides(type.shape));
      views.push_back({type.dtype, type.shape, strides.back(), alignment});
    }
  }
  const std::span<const OperandView> all(views);
  const KernelRequest request{primitive, params, all.first(operands.size()),
                              all.subspan(operands.size())};
  std::string declined;
  return choose_kernel(request, device, declined).implementation != nullptr;
}

Graph select_composites(Graph graph) {
  return expand_nodes(std::move(graph), [](const Graph::Node& node, const TypeList& operands,
                                           const TypeList& results) {
    return node.primitive->composite() &&
           !has_kernel(*node.primitive, node.params, operands, results);
  });
}

}  // namespace linnet
