// Private: numbered tasks on several threads.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Threads a kernel may use here: num_threads().
int available_threads();

/// Calls `task(context, index, thread)` for every index in [0, count), each once, with contiguous
/// ranges of indices per thread: the same partition for the same `count` and `threads`.
/// Numbers of threads that run at the same time are different, and below `threads`; 1 stays on the
/// calling thread.
void run_tasks(int64_t count, int threads,
               void (*task)(const void* context, int64_t index, int thread), const void* context);

}  // namespace linnet::cpu
