#include "cuda/emulator/threads.h"

#include <cstdio>

namespace linnet::cuda::emulator {

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::kSyncWarp:
      return "sync_warp";
    case Operation::kShuffle:
      return "shuffle";
    case Operation::kBallot:
      return "ballot";
    case Operation::kGather:
      return "operation on matrices";
  }
  return "";
}

std::string text(const Where& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string hexadecimal(uint64_t word) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%#llx", static_cast<unsigned long long>(word));
  return digits;
}

std::string text(const Thread& thread, int index) {
  const std::string name = "thread " + std::to_string(index);
  switch (thread.state) {
    case Thread::kEnded:
      return name + " has ended";
    case Thread::kAtBarrier:
      return name + " is at sync_block, " + text(thread.where);
    case Thread::kAtLanes:
      return name + " is at " + name_of(thread.operation) + " of lanes " +
             hexadecimal(thread.mask) + ", " + text(thread.where);
    default:
      return name + " runs";
  }
}

}  // namespace linnet::cuda::emulator
