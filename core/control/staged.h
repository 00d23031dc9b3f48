// A function staged for a control primitive: its graph, and the outside values it reads as
// operands.
#pragma once

#include <functional>

#include "core/trace/call.h"
#include "core/trace/graph_trace.h"

namespace linnet {

/// Traces `f` on the types of `inputs` under the current trace; reads of outside tensors and of
/// variables become extra operands. Writing variables inside is an error that names `construct`.
struct Staged {
  ProgramPtr program;
  TensorList operands;  ///< inputs followed by what was captured
};
Staged stage_function(const char* construct, const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f);

}  // namespace linnet
