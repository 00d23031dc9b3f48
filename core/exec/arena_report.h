// Private: for whom a program needs the memory of its arena, for reports of exhausted memory.
#pragma once

#include <string>

#include "core/exec/storage.h"

namespace linnet {

/// A line for each of the largest values that lie in the arena when most of it is in use, those of
/// one operation of one module together, in front of which stands a line break:
/// `\n  blocks/0/up (dot_general): 64.0 MiB in 2 blocks`.
std::string largest_values(const LoweredProgram& program, const StoragePlan& storage);

}  // namespace linnet
