#include "linnet/function.h"

#include <atomic>

namespace linnet::detail {

uint64_t unique_number() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace linnet::detail
