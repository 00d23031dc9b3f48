// Private: the cost of a program from its steps (linnet/program_cost.h).
#pragma once

#include "core/exec/code.h"
#include "linnet/program_cost.h"

namespace linnet {

/// Bytes of the operands and results that a step touches, and its additions and multiplications, as
/// in `WorkCost`.
struct StepCost {
  double bytes = 0, flops = 0;
};
StepCost cost_of(const LoweredStep& step);

ProgramCost cost_of(const Code& code);

}  // namespace linnet
