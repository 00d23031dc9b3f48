// Private: names of variable types that are asked for without registering one.
#pragma once

#include <optional>
#include <string>

#include "linnet/nnx/variable.h"

namespace linnet::nnx::detail {

/// The collection that a type is registered as, if it is.
std::optional<std::string> registered_name(const VariableType& type);

}  // namespace linnet::nnx::detail
