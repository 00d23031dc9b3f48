#include <algorithm>
#include <array>
#include <string_view>

#include "core/passes/expand.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

/// Control primitives whose meaning, once derivatives are taken, is their body. Loops and branches
/// stay whole, since how often their bodies run depends on values.
bool is_only_its_body(const Primitive& primitive) {
  constexpr std::array<std::string_view, 4> kNames{"call", "remat", "custom_vjp_call",
                                                   "custom_jvp_call"};
  return primitive.kind == Kind::kControl &&
         std::find(kNames.begin(), kNames.end(), primitive.name) != kNames.end();
}

}  // namespace

Graph inline_control(const Graph& graph) {
  return expand_nodes(graph, [](const Graph::Node& node, const TypeList&, const TypeList&) {
    return is_only_its_body(*node.primitive);
  });
}

}  // namespace linnet
