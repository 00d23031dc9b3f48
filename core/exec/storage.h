// Private: which memory each root of a lowered program gets: a place in the arena, the memory of a
// result of the program, or that of a donated input.
#pragma once

#include <vector>

#include "core/exec/lowering.h"
#include "core/exec/memory_plan.h"

namespace linnet {

/// Memory that one root, or several one after the other, lie in.
struct StorageBlock {
  MemoryBlock memory;
  int32_t output = -1;   ///< the result of the program that lies here, or -1 for the arena
  int32_t written = -1;  ///< the step that last made a value in it
};

/// A result of the program.
struct OutputStorage {
  Place place;
  /// The first result with the same memory, which owns it; -1 for views of inputs and constants.
  int32_t owner = -1;
  /// Inputs whose memory may become that of this result, best first.
  std::vector<int32_t> donors = {};
};

struct StoragePlan {
  std::vector<StorageBlock> blocks;
  std::vector<int32_t> block_of_root;      ///< -1 for inputs and constants
  std::vector<int32_t> workspace_of_step;  ///< block, or -1
  std::vector<OutputStorage> outputs;
  size_t arena_bytes = 0;
};

/// @param reuse whether values share memory at all; without, every one has its own.
/// @param alignment of values in the arena.
/// @param restores whether donated inputs must be whole if a step throws. Those of a body need not:
/// they are memory of the loop.
StoragePlan plan_storage(const LoweredProgram& program, bool reuse, size_t alignment,
                         bool restores);

/// The blocks of such a plan in which values share memory, without offsets and donors.
StoragePlan plan_blocks(const LoweredProgram& program);

}  // namespace linnet
