// Private: what the compiler does to the programs that loops and branches hold.
#pragma once

#include "core/passes/passes.h"

namespace linnet {

/// Loops, branches and the programs around them exchange work: what is the same in every turn is
/// done once before, products that do not depend on the carry are done for all turns at once, and
/// what nobody reads is not done. Then each held program is optimised by all passes.
void optimize_bodies(Graph& graph, const CompileOptions& options);

}  // namespace linnet
