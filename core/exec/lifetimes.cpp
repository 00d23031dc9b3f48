#include "core/exec/lifetimes.h"

#include <algorithm>

namespace linnet {

std::vector<int64_t> bytes_in_use(const StoragePlan& storage, size_t steps, size_t alignment) {
  std::vector<int64_t> bytes(steps + 1, 0);
  for (const StorageBlock& block : storage.blocks) {
    if (block.output >= 0) continue;
    const auto size =
        static_cast<int64_t>((block.memory.bytes + alignment - 1) / alignment * alignment);
    bytes[static_cast<size_t>(block.memory.first)] += size;
    const auto behind = static_cast<size_t>(block.memory.last) + 1;
    if (behind < bytes.size()) bytes[behind] -= size;
  }
  for (size_t s = 1; s < bytes.size(); ++s) bytes[s] += bytes[s - 1];
  bytes.pop_back();
  return bytes;
}

Readers::Readers(const LoweredProgram& program) : ends_(program.roots.size() + 1, 0) {
  for (const LoweredStep& step : program.steps) {
    for (const Place& place : step.inputs) ++ends_[static_cast<size_t>(place.root) + 1];
  }
  for (size_t r = 1; r < ends_.size(); ++r) ends_[r] += ends_[r - 1];
  steps_.resize(ends_.back());
  std::vector<size_t> next(ends_.begin(), ends_.end() - 1);
  for (size_t s = 0; s < program.steps.size(); ++s) {
    for (const Place& place : program.steps[s].inputs)
      steps_[next[static_cast<size_t>(place.root)]++] = static_cast<int32_t>(s);
  }
}

int32_t Readers::before(int32_t root, int32_t step) const {
  const std::span<const int32_t> all = (*this)[root];
  const auto found = std::lower_bound(all.begin(), all.end(), step);
  return found == all.begin() ? -1 : *(found - 1);
}

int32_t Readers::from(int32_t root, int32_t step) const {
  const std::span<const int32_t> all = (*this)[root];
  const auto found = std::lower_bound(all.begin(), all.end(), step);
  return found == all.end() ? -1 : *found;
}

}  // namespace linnet
