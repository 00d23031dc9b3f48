// Private: a lowered program within a limit of memory. Values that wait long for their next reader
// are computed again in front of it.
#pragma once

#include <cstddef>

#include "core/exec/lowering.h"

namespace linnet {

struct RematerializeOptions {
  size_t limit = 0;      ///< bytes of the arena
  size_t alignment = 1;  ///< of values in the arena
  bool restores = true;  ///< as of `plan_storage`
};

/// Repeats steps of `program` with the kernels and operands that they have, so that results keep
/// their bits, until its arena is no larger than the limit; leaves it as it is if that is so at
/// once. Of all steps that would free memory where most is in use, the one is repeated that saves
/// most bytes beyond the limit, counted in every step, for the time that it takes. Loops, branches,
/// callbacks and whatever else has no kernel are never repeated, and no donated input is kept from
/// becoming a result.
/// @throws DeviceError with the limit, what was reached and the largest owners if it cannot be
/// kept.
void rematerialize(LoweredProgram& program, const RematerializeOptions& options);

}  // namespace linnet
