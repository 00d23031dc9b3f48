#include "core/passes/cluster_builder.h"

#include "core/graph/fused_elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/passes/passes.h"

namespace linnet {

Graph::Node ClusterBuilder::run(const std::vector<int32_t>& group) {
  const Graph::Node& first = graph_.nodes[group.front()];
  Graph::Node node{&fused_elementwise_primitive(), {}, {}, {}, first.path};
  shape_ = graph_.types[first.outputs[0]].shape;
  for (int32_t n : group) add(graph_.nodes[n], node);
  merge_common_subexpressions(body_);
  remove_dead_code(body_);
  node.params = Params(FusedElementwiseParams{std::make_shared<const Graph>(std::move(body_))});
  return node;
}

void ClusterBuilder::add(const Graph::Node& member, Graph::Node& node) {
  Graph::Node inner{member.primitive, member.params, {}, {}, {}};
  for (ValueId id : member.inputs) inner.inputs.push_back(operand(id, node));
  const ValueId result = member.outputs[0];
  inner.outputs = {body_.add_value(graph_.types[result])};
  map_[result] = inner.outputs[0];
  body_.nodes.push_back(std::move(inner));
  if (outside_[result]) {
    body_.outputs.push_back(map_[result]);
    node.outputs.push_back(result);
  }
}

ValueId ClusterBuilder::operand(ValueId id, Graph::Node& node) {
  const auto found = map_.find(id);
  if (found != map_.end()) return found->second;
  const ValueId number = numbers_.of(id);
  const ValueId inner =
      number >= 0 ? embed(number, graph_.types[id]) : body_.add_value(graph_.types[id]);
  if (number < 0) {
    body_.inputs.push_back(inner);
    node.inputs.push_back(id);
  }
  map_[id] = inner;
  return inner;
}

ValueId ClusterBuilder::embed(ValueId number, const TensorType& type) {
  const ValueId id = body_.add_value(graph_.types[number]);
  body_.constants.emplace_back(id, numbers_.value(number));
  if (shape_.empty()) return id;
  const ValueId repeated = body_.add_value(type);
  body_.nodes.push_back({&broadcast_in_dim_primitive(),
                         Params(BroadcastInDimParams{shape_, {}}),
                         {id},
                         {repeated},
                         {}});
  return repeated;
}

}  // namespace linnet
