#include "linnet/linen/layers_init.h"

namespace linnet::linen {

ParamInit ParamInit::drawn_as(const Shape& shape) const {
  return ParamInit([function = function_, shape](const Key& key, const Shape& wanted, DType dtype) {
    Variables leaf = function(key, shape, dtype);
    return Variables(state::Value(reshape(leaf.value(), wanted)), leaf.box());
  });
}

ParamInit with_partitioning(Initializer initializer, AxisNames names,
                            std::optional<MeshAxes> mesh) {
  return ParamInit(
      [=, initializer = std::move(initializer)](const Key& key, const Shape& shape, DType dtype) {
        return partitioned(initializer(key, shape, dtype), names, mesh);
      });
}

ParamInit with_logical_partitioning(Initializer initializer, AxisNames names,
                                    std::optional<AxisRules> rules, std::optional<MeshAxes> mesh) {
  return ParamInit(
      [=, initializer = std::move(initializer)](const Key& key, const Shape& shape, DType dtype) {
        return logically_partitioned(initializer(key, shape, dtype), names, rules, mesh);
      });
}

Tensor param(Scope& scope, const std::string& name, const ParamInit& init, const Shape& shape,
             DType dtype) {
  // A parameter that exists has its shape checked without asking the initialiser.
  if (scope.find_leaf("params", {name})) return scope.param(name, Initializer(), shape, dtype);
  return scope.param(name, [&](const Key& key) { return init(key, shape, dtype); });
}

}  // namespace linnet::linen
