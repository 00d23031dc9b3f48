#include "core/exec/arena_report.h"

#include <algorithm>
#include <vector>

#include "core/exec/lifetimes.h"
#include "core/memory/owners.h"

namespace linnet {
namespace {

/// The step that uses most of the arena.
int32_t fullest_step(const LoweredProgram& program, const StoragePlan& storage) {
  const std::vector<int64_t> bytes = bytes_in_use(storage, program.steps.size());
  return static_cast<int32_t>(std::max_element(bytes.begin(), bytes.end()) - bytes.begin());
}

/// The step whose value lies in each block when `at` runs, or its scratch memory.
std::vector<int32_t> makers(const LoweredProgram& program, const StoragePlan& storage, int32_t at) {
  std::vector<int32_t> out(storage.blocks.size(), -1);
  for (size_t r = 0; r < program.roots.size(); ++r) {
    const int32_t block = storage.block_of_root[r];
    if (block >= 0 && program.roots[r].first <= at) out[block] = program.roots[r].first;
  }
  for (size_t s = 0; s < program.steps.size(); ++s) {
    if (const int32_t block = storage.workspace_of_step[s]; block >= 0)
      out[block] = static_cast<int32_t>(s);
  }
  return out;
}

}  // namespace

std::string largest_values(const LoweredProgram& program, const StoragePlan& storage) {
  const int32_t at = fullest_step(program, storage);
  const std::vector<int32_t> maker = makers(program, storage, at);
  OwnerShares shares;
  for (size_t b = 0; b < storage.blocks.size(); ++b) {
    const MemoryBlock& memory = storage.blocks[b].memory;
    if (storage.blocks[b].output >= 0 || memory.first > at || memory.last < at || maker[b] < 0)
      continue;
    const LoweredStep& step = program.steps[static_cast<size_t>(maker[b])];
    shares.add(owner_text(step.path, step.primitive->name.c_str()), memory.bytes);
  }
  return shares.largest();
}

}  // namespace linnet
