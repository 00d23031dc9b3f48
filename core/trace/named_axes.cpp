#include "core/trace/named_axes.h"

#include <vector>

#include "core/base/per_thread.h"
#include "core/ops/collectives.h"
#include "linnet/collectives.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

struct BoundAxes {
  std::vector<NamedAxis> list;  ///< innermost last
};

}  // namespace

NamedAxisScope::NamedAxisScope(const NamedAxis& axis) : bound_(false) {
  if (axis.name.empty()) return;
  BoundAxes* const axes = per_thread<BoundAxes>();
  if (!axes) return;
  axes->list.push_back(axis);
  bound_ = true;
}
NamedAxisScope::~NamedAxisScope() {
  if (!bound_) return;
  if (BoundAxes* const axes = per_thread<BoundAxes>()) axes->list.pop_back();
}

int64_t size_of_named_axis(const char* operation, const std::string& name) {
  std::string bound;
  if (const BoundAxes* const axes = per_thread<BoundAxes>()) {
    for (size_t i = axes->list.size(); i-- > 0;) {
      const NamedAxis& axis = axes->list[i];
      if (axis.name == name) return axis.size;
      bound += fmt::format("{}'{}' of size {}", bound.empty() ? "" : ", ", axis.name, axis.size);
    }
  }
  fail<UnknownAxisError>(
      "{}: no axis '{}' here; bound are: {}\n"
      "  hint: vmap(f, {{.axis_name = \"{}\"}}) binds the name while f runs",
      operation, name, bound.empty() ? "none" : bound, name);
}

std::string named_axes_key() {
  std::string key;
  if (const BoundAxes* const axes = per_thread<BoundAxes>()) {
    for (const NamedAxis& axis : axes->list)
      key += fmt::format("@{}:{}{}", axis.name.size(), axis.name, axis.size);
  }
  return key;
}

bool asks_for_axis(const Primitive& primitive, ParamsRef params, std::string_view name) {
  if (const Collective* collective = collective_of(primitive))
    return collective->asks_for(params, name);
  if (!primitive.control()) return false;
  for (const Graph* graph : subgraphs(primitive, params)) {
    for (const Graph::Node& node : graph->nodes) {
      if (asks_for_axis(*node.primitive, node.params, name)) return true;
    }
  }
  return false;
}

}  // namespace linnet
