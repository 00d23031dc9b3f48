#include "linnet/nnx/layers_init.h"

#include "linnet/detail/format.h"

namespace linnet::nnx {

void ParamInit::visit(tree::Visitor& visitor) {
  if (function) {
    visitor.fixed(typeid(ParamInit),
                  std::to_string(identity_ ? identity_ : linnet::detail::unique_number()));
  }
  tree::visit(metadata, visitor);
}

ParamInit with_metadata(Initializer initializer, Metadata metadata) {
  return ParamInit(std::move(initializer), std::move(metadata));
}

ParamInit with_partitioning(Initializer initializer, AxisNames names, std::optional<MeshAxes> mesh,
                            Metadata more) {
  more.set("out_sharding", std::move(names));
  if (mesh) more.set("mesh", *mesh);
  return ParamInit(std::move(initializer), std::move(more));
}

namespace {

bool is_hook(std::string_view name) { return name.starts_with("on_"); }

/// Metadata of a layer's setting and of its initialiser, as the constructor of a variable joins
/// them.
Metadata joined(Metadata of_layer, const Metadata& of_initializer) {
  for (const char* name : {"hijax", "ref", "eager_sharding"}) {
    const MetadataValue *a = of_layer.find(name), *b = of_initializer.find(name);
    if (a && b && !(*a == *b)) {
      fail<ValueError>("a variable's initialiser and its layer both give '{}', and differ", name);
    }
  }
  for (const auto& [name, entry] : of_initializer.entries()) {
    if (!is_hook(name) || !of_layer.has(name)) of_layer.set(name, MetadataValue(entry));
  }
  return of_layer;
}

}  // namespace

Param make_param(Rngs& rngs, const ParamInit& init, const Initializer& otherwise,
                 const Shape& shape, DType dtype, const Metadata& metadata,
                 const std::optional<Shape>& drawn_shape) {
  const Initializer& function = init.function ? init.function : otherwise;
  Tensor value = function(rngs.params(), drawn_shape.value_or(shape), dtype);
  if (drawn_shape) value = reshape(value, shape);
  return Param(state::Value(std::move(value)), joined(metadata, init.metadata));
}

}  // namespace linnet::nnx
