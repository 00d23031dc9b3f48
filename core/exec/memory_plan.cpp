#include "core/exec/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace linnet {
namespace {

size_t aligned(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// Each block at the lowest place that is free, one after the other. @return bytes of the arena.
size_t place(std::span<MemoryBlock> blocks, const std::vector<size_t>& order, size_t alignment) {
  std::vector<const MemoryBlock*> placed;  // ascending by offset
  size_t total = 0;
  for (size_t index : order) {
    MemoryBlock& block = blocks[index];
    const size_t bytes = aligned(block.bytes, alignment);
    size_t offset = 0;
    for (const MemoryBlock* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (offset + bytes <= other->offset) break;
      offset = std::max(offset, other->offset + aligned(other->bytes, alignment));
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

/// The most bytes that live at one time.
size_t most_alive(std::span<const MemoryBlock> blocks, size_t alignment) {
  std::vector<std::pair<int32_t, int64_t>> changes;
  for (const MemoryBlock& block : blocks) {
    const auto bytes = static_cast<int64_t>(aligned(block.bytes, alignment));
    changes.emplace_back(block.first, bytes);
    changes.emplace_back(block.last + 1, -bytes);
  }
  std::sort(changes.begin(), changes.end());  // of one step, what ends comes first
  int64_t alive = 0, most = 0;
  for (const auto& [step, bytes] : changes) most = std::max(most, alive += bytes);
  return static_cast<size_t>(most);
}

/// An arena that is larger than the least by such a part of it is not worth another order.
constexpr size_t kCloseEnough = 64;

/// What an order puts first.
using Rank = double (*)(const MemoryBlock&);
double size_of_block(const MemoryBlock& block) { return static_cast<double>(block.bytes); }
double duration(const MemoryBlock& block) { return block.last - block.first + 1; }
constexpr Rank kRanks[] = {
    size_of_block,
    [](const MemoryBlock& block) { return size_of_block(block) * duration(block); },
    duration,
    [](const MemoryBlock& block) { return -static_cast<double>(block.first); },
    [](const MemoryBlock& block) { return static_cast<double>(block.last); },
};

}  // namespace

size_t assign_offsets(std::span<MemoryBlock> blocks, size_t alignment) {
  const size_t least = most_alive(blocks, alignment);
  std::vector<size_t> order(blocks.size()), offsets;
  size_t best = 0;
  for (const Rank rank : kRanks) {
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return rank(blocks[a]) > rank(blocks[b]); });
    const size_t total = place(blocks, order, alignment);
    if (total <= least + least / kCloseEnough) return total;
    if (offsets.empty() || total < best) {
      best = total;
      offsets.clear();
      for (const MemoryBlock& block : blocks) offsets.push_back(block.offset);
    }
  }
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i].offset = offsets[i];
  return best;
}

}  // namespace linnet
