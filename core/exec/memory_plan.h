// Where in one arena the intermediate values of a program lie.
//
//   std::vector<MemoryBlock> blocks{{4096, 0, 2}, {4096, 3, 5}};
//   size_t arena = assign_offsets(blocks);      // 4096: the two never live at the same time
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace linnet {

/// Memory that is used in the steps from `first` to `last`, both included.
struct MemoryBlock {
  size_t bytes = 0;
  int32_t first = 0, last = 0;
  size_t offset = 0;
};

/// Chooses offsets, multiples of `alignment`, such that blocks that live at the same time do not
/// overlap, each at the lowest place that is free. The largest come first; where that needs
/// clearly more than what lives at one time, other orders are tried and the best is kept.
/// @return bytes of the arena.
size_t assign_offsets(std::span<MemoryBlock> blocks, size_t alignment = 64);

}  // namespace linnet
