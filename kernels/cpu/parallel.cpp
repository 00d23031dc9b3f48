#include "linnet/parallel.h"

#include <algorithm>
#include <atomic>

#include "kernels/cpu/openmp.h"
#include "kernels/cpu/thread_pool.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

/// More threads than this only wait for each other.
int most_threads() { return std::max(256, 4 * omp_get_num_procs()); }

std::atomic<int>& thread_count() {
  static std::atomic<int> count{std::clamp(omp_get_max_threads(), 1, most_threads())};
  return count;
}

}  // namespace

void set_num_threads(int count) {
  if (count < 1 || count > most_threads()) {
    fail<ValueError>("set_num_threads: expected 1 to {} threads, got {}", most_threads(), count);
  }
  thread_count().store(count, std::memory_order_relaxed);
}

int num_threads() {
  return cpu::in_parallel_region() ? 1 : thread_count().load(std::memory_order_relaxed);
}

namespace cpu {
namespace {

/// Ranges worth a thread of their own. Most loops are not, and need no division to see it.
int64_t useful_ranges(int64_t total, int64_t grain) {
  return total < grain ? 0 : total / std::max<int64_t>(grain, 1);
}

void share_out(int64_t total, int64_t most, FunctionRef<void(int64_t, int64_t, int64_t)> body) {
  if (total <= 0) return;
  const int64_t team = std::min<int64_t>(num_threads(), most);
  if (team <= 1) {
    body(0, total, 0);
    return;
  }
  int64_t chunk = (total + team - 1) / team;
  // Large ranges split at multiples of 64 elements, so that no two threads write one cache line.
  if (chunk > 1024) chunk = (chunk + 63) / 64 * 64;
  run_parts(static_cast<int>((total + chunk - 1) / chunk),
            [&](int part) { body(part * chunk, std::min(total, (part + 1) * chunk), part); });
}

}  // namespace

void parallel_for(int64_t total, int64_t grain, FunctionRef<void(int64_t, int64_t)> body) {
  share_out(total, useful_ranges(total, grain),
            [body](int64_t begin, int64_t end, int64_t) { body(begin, end); });
}

int64_t parallel_slots(int64_t total, int64_t grain) {
  return std::clamp<int64_t>(useful_ranges(total, grain), 1, 64);
}

void parallel_for_slots(int64_t total, int64_t grain,
                        FunctionRef<void(int64_t, int64_t, int64_t)> body) {
  share_out(total, parallel_slots(total, grain), body);
}

}  // namespace cpu
}  // namespace linnet
