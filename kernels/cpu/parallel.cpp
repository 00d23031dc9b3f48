#include "linnet/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>

#include "linnet/error.h"

namespace linnet {
namespace {

std::atomic<int>& thread_count() {
  static std::atomic<int> count(std::max(1, omp_get_max_threads()));
  return count;
}

}  // namespace

void set_num_threads(int count) {
  if (count < 1) {
    throw ValueError("set_num_threads: expected at least 1 thread, got " + std::to_string(count));
  }
  thread_count().store(count, std::memory_order_relaxed);
  omp_set_num_threads(count);
}

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

namespace cpu {

void apply_num_threads() {
  const int count = num_threads();
  if (omp_get_max_threads() != count) omp_set_num_threads(count);
}

void parallel_for(int64_t total, int64_t grain, FunctionRef<void(int64_t, int64_t)> body) {
  if (total <= 0) return;
  const int64_t useful = total / std::max<int64_t>(grain, 1);
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), useful));
  if (threads <= 1 || omp_in_parallel()) {
    body(0, total);
    return;
  }
  int64_t chunk = (total + threads - 1) / threads;
  // Large ranges split at multiples of 64 elements, so that no two threads write one cache line.
  if (chunk > 1024) chunk = (chunk + 63) / 64 * 64;
  std::exception_ptr failure;
#pragma omp parallel num_threads(threads)
  {
    // The team may be smaller than asked for.
    for (int64_t i = omp_get_thread_num(); i * chunk < total; i += omp_get_num_threads()) {
      try {
        body(i * chunk, std::min(total, (i + 1) * chunk));
      } catch (...) {
#pragma omp critical(linnet_parallel_for)
        if (!failure) failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cpu
}  // namespace linnet
