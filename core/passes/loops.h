// Private: what the compiler does to the programs that loops and branches hold.
#pragma once

#include "core/passes/passes.h"

namespace linnet {

/// Loops, branches and the programs around them exchange work: what is the same in every turn is
/// done once before, products that do not depend on the carry are done for all turns at once, and
/// what nobody reads is not done. Then each held program is optimised by all passes.
/// @return whether there are loops or branches
bool optimize_bodies(Graph& graph, const CompileOptions& options);

/// Simplification and dead code of one graph.
void clean(Graph& graph, const CompileOptions& options);

class OpenScan;
/// All motions of one scan.
void move_work(OpenScan& scan);
/// Those of sums over the turns.
void sum_behind(OpenScan& scan);
/// Matrices that products in the body of `scan` read unchanged are laid out in panels by nodes that
/// are appended to `outer`.
void lay_out_in_panels(Graph& outer, Graph::Node& scan);
/// What `body` computes from its first inputs alone becomes further inputs behind them; gives the
/// graph that makes these.
Graph hoist_invariants(Graph& body, size_t constants);

}  // namespace linnet
