// Private: the cost of a program from its steps (linnet/program_cost.h).
#pragma once

#include "core/exec/code.h"
#include "linnet/program_cost.h"

namespace linnet {

ProgramCost cost_of(const Code& code);

}  // namespace linnet
