// The layer reference, docs/layers.md, made from the public headers: one entry for each layer of both
// module APIs, with the settings and members that the headers declare.
#pragma once

#include <string>

namespace linnet::docs {

/// The text of the page as it should be.
/// @throws std::runtime_error for a header of layers that belongs to no section, or a declaration that
/// cannot be read.
std::string layers_page();

}  // namespace linnet::docs
