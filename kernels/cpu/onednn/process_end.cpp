#include "kernels/cpu/onednn/process_end.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace linnet::cpu::onednn {
namespace {

std::atomic<bool> ends{false};

}  // namespace

void watch_process_end(int type) {
  static std::atomic<uint64_t> watched{0};
  const uint64_t bit = uint64_t{1} << (static_cast<unsigned>(type) % 64);
  if (watched.fetch_or(bit, std::memory_order_relaxed) & bit) return;
  // Handlers run in the reverse order: before the destructors of what the library has just made.
  std::atexit([] { ends.store(true, std::memory_order_relaxed); });
}

bool process_ends() { return ends.load(std::memory_order_relaxed); }

}  // namespace linnet::cpu::onednn
