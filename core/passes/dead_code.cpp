#include <algorithm>

#include "core/graph/rewrite.h"
#include "core/passes/passes.h"

namespace linnet {

void remove_dead_code(Graph& graph) {
  std::vector<uint8_t> wanted(graph.types.size(), 0);
  for (ValueId id : graph.outputs) wanted[id] = 1;
  std::vector<uint8_t> kept(graph.nodes.size(), 0);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Graph::Node& node = graph.nodes[n];
    kept[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                          [&](ValueId id) { return wanted[id] != 0; });
    if (!kept[n]) continue;
    for (ValueId id : node.inputs) wanted[id] = 1;
  }
  size_t next = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!kept[n]) continue;
    if (next != n) graph.nodes[next] = std::move(graph.nodes[n]);
    ++next;
  }
  graph.nodes.resize(next);
  std::erase_if(graph.constants, [&](const auto& constant) { return !wanted[constant.first]; });
  renumber(graph);
}

}  // namespace linnet
