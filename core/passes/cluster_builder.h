// Private: the node of one cluster.
//
//   ClusterBuilder(graph, numbers, outside).run({3, 4, 7})   // of these nodes of the graph
#pragma once

#include <map>
#include <vector>

#include "core/passes/clusters.h"

namespace linnet {

class ClusterBuilder {
 public:
  /// @param outside for each value, whether anything but its own cluster reads it.
  ClusterBuilder(const Graph& graph, const EmbeddedNumbers& numbers,
                 const std::vector<uint8_t>& outside)
      : graph_(graph), numbers_(numbers), outside_(outside) {}

  /// A `fused_elementwise` node. Numbers are held by its body.
  Graph::Node run(const std::vector<int32_t>& group);

 private:
  void add(const Graph::Node& member, Graph::Node& node);
  ValueId operand(ValueId id, Graph::Node& node);
  ValueId embed(ValueId number, const TensorType& type);

  const Graph& graph_;
  const EmbeddedNumbers& numbers_;
  const std::vector<uint8_t>& outside_;
  Graph body_;
  Shape shape_;
  std::map<ValueId, ValueId> map_;
};

}  // namespace linnet
