#include "linnet/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

/// More threads than this only wait for each other, and OpenMP ends the process when the system
/// refuses one.
int most_threads() { return std::max(256, 4 * omp_get_num_procs()); }

struct Threads {
  std::atomic<int> count{std::clamp(omp_get_max_threads(), 1, most_threads())};
  /// OpenMP has started threads in this process or in one that it was forked from.
  std::atomic<bool> started{false};
  std::atomic<bool> lost{false};  ///< by fork
};

/// A forked child has one thread, and OpenMP would wait for the others for ever.
void after_fork_in_child();

Threads& threads() {
  static Threads* instance = [] {
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
    return new Threads;  // never destroyed: exit handlers may compute
  }();
  return *instance;
}

void after_fork_in_child() {
  Threads& state = threads();
  if (!state.started.load(std::memory_order_relaxed)) return;
  state.lost.store(true, std::memory_order_relaxed);
  state.count.store(1, std::memory_order_relaxed);
  omp_set_num_threads(1);
}

}  // namespace

void set_num_threads(int count) {
  Threads& state = threads();
  if (count < 1 || count > most_threads()) {
    fail<ValueError>("set_num_threads: expected 1 to {} threads, got {}", most_threads(), count);
  }
  if (count > 1 && state.lost.load(std::memory_order_relaxed)) {
    fail<DeviceError>(
        "set_num_threads: expected 1 thread in a process forked from one that computed with "
        "several, got {}\n  hint: fork before the first computation, or start a new program",
        count);
  }
  state.count.store(count, std::memory_order_relaxed);
  omp_set_num_threads(count);
}

int num_threads() {
  return omp_in_parallel() ? 1 : threads().count.load(std::memory_order_relaxed);
}

namespace cpu {

void apply_num_threads() {
  const int count = num_threads();
  if (count > 1) threads().started.store(true, std::memory_order_relaxed);
  if (omp_get_max_threads() != count) omp_set_num_threads(count);
}

namespace {

/// Ranges worth a thread of their own.
int64_t useful_ranges(int64_t total, int64_t grain) { return total / std::max<int64_t>(grain, 1); }

void share_out(int64_t total, int64_t most, FunctionRef<void(int64_t, int64_t, int64_t)> body) {
  if (total <= 0) return;
  const int team = static_cast<int>(std::min<int64_t>(num_threads(), most));
  if (team <= 1) {
    body(0, total, 0);
    return;
  }
  threads().started.store(true, std::memory_order_relaxed);
  int64_t chunk = (total + team - 1) / team;
  // Large ranges split at multiples of 64 elements, so that no two threads write one cache line.
  if (chunk > 1024) chunk = (chunk + 63) / 64 * 64;
  std::exception_ptr failure;
#pragma omp parallel num_threads(team)
  {
    // The team may be smaller than asked for.
    for (int64_t i = omp_get_thread_num(); i * chunk < total; i += omp_get_num_threads()) {
      try {
        body(i * chunk, std::min(total, (i + 1) * chunk), omp_get_thread_num());
      } catch (...) {
#pragma omp critical(linnet_parallel_for)
        if (!failure) failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
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
