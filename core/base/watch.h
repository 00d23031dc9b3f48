// Whether anybody looks at operations one by one: traces of time, checks for NaN. While nobody
// does, an operation pays one load and a branch that is not taken.
#pragma once

#include <atomic>
#include <cstdint>

namespace linnet {

/// How many reasons there are to look. Threads may look for reasons of their own, so that being
/// watched means asking each.
inline constinit std::atomic<int32_t> watchers{0};

inline bool watched() { return watchers.load(std::memory_order_relaxed) != 0; }

}  // namespace linnet
