// Results written past the caches.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::cpu {

/// Results of at least this many bytes are written past the caches by kernels that do little else
/// than write them: an ordinary store reads the line first, a third to a half of such a kernel's
/// traffic. Smaller results are likely to be read again while they are in the cache.
constexpr int64_t kStreamingBytes = int64_t{8} << 20;

/// Alignment of destinations that are written past the caches.
constexpr size_t kStreamingAlignment = 64;

/// Copies into memory aligned to kStreamingAlignment. `flush_streams` comes after the last of them.
void stream_copy(const void* from, void* to, size_t bytes);

/// to[i] = the word of `size` (1, 2, 4 or 8) bytes at `word`; flushes.
void stream_fill(const void* word, size_t size, void* to, int64_t count);

/// Makes what the calling thread has written past the caches visible to others.
void flush_streams();

}  // namespace linnet::cpu
