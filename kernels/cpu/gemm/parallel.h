// Runs numbered tasks on the OpenMP team that oneDNN uses too, so that the two never compete.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Threads a kernel may use here: the OpenMP setting, or 1 inside a parallel region.
int available_threads();

/// Calls `task(context, index, thread)` for every index in [0, count), each once, with contiguous
/// ranges of indices per thread: the same partition for the same `count` and `threads`.
/// `threads` = 1 stays on the calling thread without touching OpenMP.
void run_tasks(int64_t count, int threads,
               void (*task)(const void* context, int64_t index, int thread), const void* context);

}  // namespace linnet::cpu
