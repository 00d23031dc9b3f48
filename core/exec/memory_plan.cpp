#include "core/exec/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace linnet {

size_t assign_offsets(std::span<MemoryBlock> blocks, size_t alignment) {
  const auto aligned = [alignment](size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  };
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const MemoryBlock*> placed;  // ascending by offset
  size_t total = 0;
  for (size_t index : order) {
    MemoryBlock& block = blocks[index];
    const size_t bytes = aligned(block.bytes);
    size_t offset = 0;
    for (const MemoryBlock* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (offset + bytes <= other->offset) break;
      offset = std::max(offset, other->offset + aligned(other->bytes));
    }
    block.offset = offset;
    total = std::max(total, offset + bytes);
    const auto after = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [](size_t value, const MemoryBlock* other) { return value < other->offset; });
    if (bytes > 0) placed.insert(after, &block);
  }
  return total;
}

}  // namespace linnet
