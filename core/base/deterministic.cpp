#include "linnet/deterministic.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace linnet {
namespace {

bool asked_for() {
  const char* value = std::getenv("LINNET_DETERMINISTIC");
  return value && *value && std::string_view(value) != "0";
}

std::atomic<bool>& setting() {
  static std::atomic<bool> on{asked_for()};
  return on;
}

}  // namespace

void set_deterministic(bool on) { setting().store(on, std::memory_order_relaxed); }
bool is_deterministic() { return setting().load(std::memory_order_relaxed); }

}  // namespace linnet
