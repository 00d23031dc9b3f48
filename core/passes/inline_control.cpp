#include "core/passes/expand.h"
#include "core/passes/passes.h"

namespace linnet {
Graph inline_control(Graph graph) {
  return expand_nodes(std::move(graph),
                      [](const Graph::Node& node, const TypeList&, const TypeList&) {
                        const auto* control = node.primitive->rule_as<rules::Control>();
                        return control && control->is_its_body;
                      });
}

}  // namespace linnet
