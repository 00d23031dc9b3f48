// Memory of the emulated devices. An address of a device lies in a region that nobody can access;
// the bytes are at the same offset of another region. Addresses are not used twice, so that a
// pointer that has outlived its block is known as such.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::fake_cuda {

struct Block {
  enum class State : uint8_t { kPlanned, kAlive, kFreed };

  uint64_t begin = 0;
  size_t bytes = 0;
  int device = -1;  ///< -1: memory of the host
  State state = State::kAlive;
};

/// Reserves addresses on a device; the bytes can be used once `make_alive` has filled them with
/// NaN.
/// @throws Failure when the device has no more memory.
uint64_t plan_block(int device, size_t bytes);
void make_alive(uint64_t begin);
/// Pinned memory, which has the same address everywhere.
uint64_t allocate_pinned(size_t bytes);
/// Poisons a block and remembers that it is gone.
/// @throws Failure if it is none, or not alive.
void free_block(uint64_t begin);

bool is_device_address(uint64_t address);
/// Null if no block has ever been there. Memory of the host that is not pinned has none.
const Block* block_of(uint64_t address);
/// Where host code reaches the bytes, for work on `device` (-1: any).
/// @throws Failure unless all of them lie in one living block that the device may use.
void* checked_bytes(uint64_t address, size_t count, int device);
size_t used_memory(int device);

}  // namespace linnet::fake_cuda
