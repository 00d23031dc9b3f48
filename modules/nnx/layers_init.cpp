#include "linnet/nnx/layers_init.h"

namespace linnet::nnx {

void ParamInit::visit(tree::Visitor& visitor) {
  if (function) {
    visitor.fixed(typeid(ParamInit),
                  std::to_string(identity_ ? identity_ : linnet::detail::unique_number()));
  }
  tree::visit(metadata, visitor);
}

ParamInit with_partitioning(Initializer initializer, AxisNames names, std::optional<MeshAxes> mesh,
                            Metadata more) {
  more.set("out_sharding", std::move(names));
  if (mesh) more.set("mesh", *mesh);
  return ParamInit(std::move(initializer), std::move(more));
}

Param make_param(Rngs& rngs, const ParamInit& init, const Initializer& otherwise,
                 const Shape& shape, DType dtype, const Metadata& metadata,
                 const std::optional<Shape>& drawn_shape) {
  const Initializer& function = init.function ? init.function : otherwise;
  Tensor value = function(rngs.params(), drawn_shape.value_or(shape), dtype);
  if (drawn_shape) value = reshape(value, shape);
  Metadata all = init.metadata;
  for (const auto& [name, entry] : metadata.entries()) all.set(name, entry);
  return Param(state::Value(std::move(value)), std::move(all));
}

}  // namespace linnet::nnx
