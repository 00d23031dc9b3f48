// The threads of a block: what each is at, and how messages say it.
#pragma once

#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>

#include "cuda/emulator/fibre.h"
#include "cuda/emulator/operations.h"

namespace linnet::cuda::emulator {

constexpr int kWarp = 32;
using Where = std::source_location;

// A thread of a block.
struct Thread {
  enum State : uint8_t { kNew, kReady, kAtBarrier, kAtLanes, kEnded };
  State state = kNew;
  Operation operation = Operation::kSyncWarp;
  unsigned mask = 0;
  int from = 0;            // the lane that a shuffle reads
  uint64_t value = 0;      // what it brings to its operation, then the result
  Fibre* fibre = nullptr;  // that it waits on
  Where where;             // it waits
};

struct Warp {
  unsigned waiting = 0, ended = 0;  // lanes; those that the block does not have have ended
  unsigned meetings = 0;            // of all lanes
  uint64_t gathered[kWarp];
};

const char* name_of(Operation operation);
/// Whether two places in the source are the same.
inline bool same(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}
std::string text(const Where& where);
/// What thread `index` of the block is at.
std::string text(const Thread& thread, int index);
std::string hexadecimal(uint64_t word);

}  // namespace linnet::cuda::emulator
