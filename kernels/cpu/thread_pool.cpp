#include "kernels/cpu/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <new>
#include <thread>

#include "kernels/cpu/openmp.h"

namespace linnet::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// A thread that sleeps takes some 10 us to 50 us to come back, which is what the gaps between the
// kernels of a step should not cost; a thread that spins takes its core from others.
constexpr auto kIdleSpin = std::chrono::microseconds(200);
// The others have work of the same size, so they are about to end; parts of convolutions take
// milliseconds and differ by tenths.
constexpr auto kJoinSpin = std::chrono::microseconds(300);
// Between two looks at the clock pass about 2 us. Much more, and somebody else had the core.
constexpr auto kLostCore = std::chrono::microseconds(500);
// How long spinning is given up after a core was lost.
constexpr auto kCrowded = std::chrono::milliseconds(20);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Until when, in ticks of the clock, threads sleep at once: the machine has other things to do.
std::atomic<Clock::rep> crowded_until{0};

/// Waits for `done()` without sleeping; false once `limit` is over.
template <class Done>
bool spin(const Done& done, Clock::duration limit) {
  constexpr int kTries = 32;
  for (int i = 0; i < 2 * kTries; ++i) {
    if (done()) return true;
    pause();
  }
  Clock::time_point now = Clock::now();
  if (now.time_since_epoch().count() < crowded_until.load(std::memory_order_relaxed)) return false;
  for (const Clock::time_point end = now + limit; now < end;) {
    for (int i = 0; i < kTries; ++i) {
      if (done()) return true;
      pause();
    }
    const Clock::time_point before = now;
    now = Clock::now();
    if (now - before > kLostCore) {
      crowded_until.store((now + kCrowded).time_since_epoch().count(), std::memory_order_relaxed);
      break;
    }
  }
  return done();
}

thread_local bool inside_region = false;

/// A region, on the stack of its caller.
class Region {
 public:
  explicit Region(FunctionRef<void(int)> part) : part_(part) {}

  void run(int index) noexcept {
    try {
      part_(index);
    } catch (...) {
      if (!failed_.test_and_set(std::memory_order_relaxed)) failure_ = std::current_exception();
    }
  }
  /// To be called when all parts are done.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  FunctionRef<void(int)> part_;
  std::atomic_flag failed_;
  std::exception_ptr failure_;
};

/// A thread and what it is asked to do. One caller at a time posts a part, and takes it back or
/// waits for its end. At most one of the two sleeps on `state_`.
class alignas(64) Worker {
 public:
  /// Null if the system refuses another thread.
  static Worker* start() {
    Worker* const worker = new (std::nothrow) Worker;
    if (!worker) return nullptr;
    // Signals are for the threads of the program.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      std::thread([worker] { worker->work(); }).detach();
    } catch (...) {
      started = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (started) return worker;
    delete worker;
    return nullptr;
  }

  void post(Region& region, int part) {
    region_ = &region;
    part_ = part;
    if (state_.exchange(kPosted, std::memory_order_acq_rel) == kAsleep) state_.notify_one();
  }
  /// Whether the part had not been begun; it never will be then.
  bool take_back() {
    uint32_t expected = kPosted;
    return state_.compare_exchange_strong(expected, kIdle, std::memory_order_relaxed);
  }
  void await() {
    const auto done = [this] { return state_.load(std::memory_order_acquire) != kRunning; };
    if (spin(done, kJoinSpin)) return;
    uint32_t expected = kRunning;
    if (state_.compare_exchange_strong(expected, kAwaited, std::memory_order_acquire))
      state_.wait(kAwaited, std::memory_order_acquire);
  }

  Worker* next = nullptr;

 private:
  enum : uint32_t { kIdle, kAsleep, kPosted, kRunning, kAwaited };

  [[noreturn]] void work() {
    inside_region = true;
    pthread_setname_np(pthread_self(), "linnet worker");
    for (;;) {
      sleep_until_posted();
      uint32_t expected = kPosted;
      if (!state_.compare_exchange_strong(expected, kRunning, std::memory_order_acquire)) continue;
      region_->run(part_);
      // From here on the region may be gone.
      if (state_.exchange(kIdle, std::memory_order_acq_rel) == kAwaited) state_.notify_one();
    }
  }

  void sleep_until_posted() {
    const auto posted = [this] { return state_.load(std::memory_order_relaxed) == kPosted; };
    if (spin(posted, kIdleSpin)) return;
    uint32_t expected = kIdle;
    if (state_.compare_exchange_strong(expected, kAsleep, std::memory_order_relaxed))
      state_.wait(kAsleep, std::memory_order_relaxed);
  }

  std::atomic<uint32_t> state_{kIdle};
  int part_ = 0;
  Region* region_ = nullptr;
};

/// Workers in the order of their making. Whoever has `busy_` has them all.
class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = [] {
      pthread_atfork(nullptr, nullptr, [] { instance().forget(); });
      return new Pool;  // never destroyed: exit handlers may compute
    }();
    return *pool;
  }

  bool try_enter() { return !busy_.test_and_set(std::memory_order_acquire); }
  void leave() { busy_.clear(std::memory_order_release); }

  /// Between `try_enter` and `leave`.
  void run(Region& region, int parts) {
    const int helpers = grow(parts - 1);
    Worker* worker = first_;
    for (int i = 1; i <= helpers; ++i, worker = worker->next) worker->post(region, i);
    region.run(0);
    for (int i = helpers + 1; i < parts; ++i) region.run(i);
    worker = first_;
    for (int i = 1; i <= helpers; ++i, worker = worker->next) {
      if (worker->take_back()) region.run(i);
    }
    worker = first_;
    for (int i = 1; i <= helpers; ++i, worker = worker->next) worker->await();
  }

 private:
  int grow(int wanted) {
    for (; count_ < wanted; ++count_) {
      Worker* const fresh = Worker::start();
      if (!fresh) return count_;
      (last_ ? last_->next : first_) = fresh;
      last_ = fresh;
    }
    return wanted;
  }

  /// In the child of a fork: the workers are not there, nor is a thread that held them. What they
  /// lived in stays, and stays known to leak checkers.
  void forget() {
    if (last_) last_->next = lost_;
    if (first_) lost_ = first_;
    first_ = last_ = nullptr;
    count_ = 0;
    busy_.clear(std::memory_order_relaxed);
  }

  std::atomic_flag busy_;
  Worker* first_ = nullptr;
  Worker* last_ = nullptr;
  Worker* lost_ = nullptr;
  int count_ = 0;
};

class InsideRegion {
 public:
  InsideRegion() { inside_region = true; }
  ~InsideRegion() { inside_region = false; }
  InsideRegion(const InsideRegion&) = delete;
  InsideRegion& operator=(const InsideRegion&) = delete;
};

}  // namespace

bool in_parallel_region() { return inside_region || omp_in_parallel(); }

void run_parts(int parts, FunctionRef<void(int)> part) {
  Region region(part);
  if (parts <= 1 || in_parallel_region()) {
    for (int i = 0; i < parts; ++i) region.run(i);
    return region.rethrow();
  }
  const InsideRegion mark;
  Pool& pool = Pool::instance();
  if (pool.try_enter()) {
    pool.run(region, parts);
    pool.leave();
  } else {
    for (int i = 0; i < parts; ++i) region.run(i);
  }
  region.rethrow();
}

}  // namespace linnet::cpu
