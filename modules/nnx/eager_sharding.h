// What happens to the value of an annotated variable when it is made.
#pragma once

#include "linnet/nnx/variable.h"

namespace linnet::nnx {

/// The value on the mesh that metadata and thread name; as it is without annotation, without a mesh
/// or where eager sharding is off.
/// @throws MeshError if a mesh is needed and none is there, or has axes of several types; and as
/// `with_sharding_constraint`.
state::Value placed(const VariableType& type, state::Value value, const Metadata& metadata);

/// @throws ModuleError if `value` (null: the entry goes) would change what a variable is.
void check_fixed_metadata(const VariableType& type, const Metadata& before, std::string_view name,
                          const MetadataValue* value);

}  // namespace linnet::nnx
