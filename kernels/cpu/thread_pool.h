// Private: the threads that kernels share. A region of parts is begun and ended in a fraction of a
// microsecond while the threads are awake; they spin for a while when there is nothing to do, then
// sleep.
//
//   const auto part = [&](int index) { work(index); };
//   run_parts(4, part);
#pragma once

#include "linnet/parallel.h"

namespace linnet::cpu {

/// Calls `part(index)` once for every index in [0, parts), possibly at the same time, and returns
/// when all are done. Which thread runs a part is left open: a part that no other thread has begun
/// when the caller has nothing left to do, it runs itself, so that threads which the system keeps
/// from running delay nobody. Inside another region, inside an OpenMP parallel region, and while
/// the threads work for somebody else, the caller runs all parts. The exception of the first part
/// that throws reaches the caller at the end.
void run_parts(int parts, FunctionRef<void(int)> part);

/// Whether the calling thread is in a part of a region, or in a parallel region of OpenMP.
bool in_parallel_region();

}  // namespace linnet::cpu
