// When results are written past the caches.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Results of at least this many bytes are written past the caches by kernels that do little else
/// than write them: an ordinary store reads the line first, a third to a half of such a kernel's
/// traffic. Smaller results are likely to be read again while they are in the cache.
constexpr int64_t kStreamingBytes = int64_t{8} << 20;

}  // namespace linnet::cpu
