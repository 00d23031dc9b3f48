// The mesh that is current, as a part of a key.
#pragma once

#include <string>

namespace linnet {

/// Equal for equal meshes; empty if none is current. Programs are made for one mesh.
const std::string& current_mesh_key();

}  // namespace linnet
