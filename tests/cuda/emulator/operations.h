// What device_host.h asks of the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

#include "cuda/emulator/machine.h"

namespace linnet::cuda::emulator {

/// Of the thread that runs now.
struct Position {
  int thread, threads;
  int block[3], blocks[3];
};
extern Position position;

enum class Operation : uint8_t { kSyncWarp, kShuffle, kBallot, kGather };

void sync_block(const std::source_location& where);

/// Waits for the lanes of `mask`. @return of a shuffle the `value` of lane `from`, of a ballot the
/// lanes whose value is not 0, of a gather the address of the values of all lanes of the warp,
/// until the warp gathers again.
uint64_t meet_lanes(Operation operation, unsigned mask, uint64_t value, int from,
                    const std::source_location& where);

/// The array of this block that is declared at `key`. Its bytes are 0xFF at first.
void* shared_array(const void* key, size_t bytes, const char* name);
void* dynamic_shared();

/// Copies that this thread has started, in groups, and that happen when it waits for them.
struct AsyncCopy {
  void* to;
  const void* from;
  size_t bytes;
};
void start_copy(const AsyncCopy& copy);
void close_group();
/// The oldest copy, if it is of a group before the last `groups` closed ones, is taken out.
bool take_copy(int groups, AsyncCopy& copy);

void fence();

[[noreturn]] void fail_alignment(const void* at, size_t bytes, const std::source_location& where);

}  // namespace linnet::cuda::emulator
