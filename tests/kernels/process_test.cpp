// What the process around the kernels may do: fork, end, hold tensors in static objects, call from
// its own parallel regions, ask for any number of threads.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <thread>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/parallel.h"

/// What GCC makes of `#pragma omp parallel`, which is here for every compiler.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);

namespace linnet::process_test {
namespace {

// Forks of programs with threads are beyond the thread sanitizer.
#if defined(__SANITIZE_THREAD__)
#define LINNET_SKIP_UNDER_TSAN() GTEST_SKIP() << "forks"
#else
#define LINNET_SKIP_UNDER_TSAN() (void)0
#endif

// The allocator of this sanitizer does not let go of its locks in the child of a fork: a thread
// that was allocating leaves them taken for ever.
#ifdef __SANITIZE_ADDRESS__
#define LINNET_SKIP_UNDER_ASAN() GTEST_SKIP() << "forks while a thread allocates"
#else
#define LINNET_SKIP_UNDER_ASAN() (void)0
#endif

class RestoreThreads {
 public:
  ~RestoreThreads() { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};

/// Calls `f` on one of the two threads of a parallel region of the runtime that oneDNN has.
void in_parallel_region(const std::function<void()>& f) {
  struct Region {
    const std::function<void()>& f;
    std::atomic_flag taken = ATOMIC_FLAG_INIT;
  } region{f};
  GOMP_parallel(
      [](void* data) {
        auto& region = *static_cast<Region*>(data);
        if (!region.taken.test_and_set()) region.f();
      },
      &region, 2, 0);
}

/// 0: f returned true in a child of this process; else what happened there.
int in_child(const std::function<bool()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a hang ends as a signal
    int status = 2;
    try {
      status = f() ? 0 : 1;
    } catch (...) {
    }
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

Tensor large_sum() { return sum(sin(ones({500000})) * 2); }
Tensor large_product() { return sum(matmul(ones({300, 200}), ones({200, 100}))); }
float number(const Tensor& t) { return t.item<float>(); }

TEST(Process, threads_beyond_the_limit_are_refused) {
  const RestoreThreads restore;
  EXPECT_THROW(set_num_threads(0), ValueError);
  EXPECT_THROW(set_num_threads(-1), ValueError);
  EXPECT_THROW(set_num_threads(100000), ValueError);
  EXPECT_THROW(set_num_threads(std::numeric_limits<int>::max()), ValueError);
  EXPECT_NO_THROW(set_num_threads(3));
  EXPECT_EQ(num_threads(), 3);
}

TEST(Process, R_055_child_of_a_process_that_used_threads_uses_threads) {
  LINNET_SKIP_UNDER_TSAN();
  const RestoreThreads restore;
  set_num_threads(2);
  const float total = number(large_sum()), product = number(large_product());
  const auto same = [&] {
    return number(large_sum()) == total && number(large_product()) == product;
  };
  EXPECT_EQ(in_child([&] {
              if (num_threads() != 2 || !same()) return false;
              set_num_threads(3);
              return same() && in_child(same) == 0;
            }),
            0);
  EXPECT_TRUE(same()) << "the parent goes on";
}

TEST(Process, child_of_a_fork_while_another_thread_computes) {
  LINNET_SKIP_UNDER_TSAN();
  LINNET_SKIP_UNDER_ASAN();
  const RestoreThreads restore;
  set_num_threads(2);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      (void)sum(sin(ones({64})) * 2);
      (void)large_sum();
    }
  });
  int failed = 0;
  for (int i = 0; i < 20; ++i) {
    failed += 0 != in_child([] {
                const auto f = jit([](const Tensor& x) { return sum(exp(x) * 3); });
                return number(f(zeros({7}))) == 21 && std::isfinite(number(large_sum())) &&
                       number(sum(matmul(ones({3, 5}), ones({5, 2})))) == 30;
              });
  }
  stop = true;
  busy.join();
  EXPECT_EQ(failed, 0);
}

TEST(Process, kernels_run_on_the_calling_thread_inside_a_parallel_region) {
  const RestoreThreads restore;
  set_num_threads(2);
  const auto step = jit([](Tensor& state, const Tensor& x) {
    state = state * 2 + 1;
    return sum(matmul(x, x)) + sum(state);
  });
  const Tensor x = ones({100, 100});
  Tensor outside = ones({100, 100}), inside = ones({100, 100});
  const float expected = number(step(outside, x));
  (void)step(inside, x);
  inside = ones({100, 100});
  float got = 0, eager = 0;
  int threads_inside = 0;
  in_parallel_region([&] {
    threads_inside = num_threads();
    got = number(step(inside, x));
    eager = number(large_product());
  });
  EXPECT_EQ(threads_inside, 1);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(eager, 300.f * 200.f * 100.f);
  EXPECT_EQ(inside.to_vector<float>(), outside.to_vector<float>());
  EXPECT_EQ(num_threads(), 2);
}

/// Computes when it is destroyed, eagerly, compiled, with the libraries behind, and in a child of a
/// module path.
struct ComputesLate {
  ~ComputesLate() {
    const auto f = jit([](const Tensor& x) { return sum(tanh(x * 2) + 1); });
    const float value = number(large_sum()) + number(f(zeros({40, 30}))) + number(large_product());
    std::fprintf(stderr, value > 1e6f ? "late and right\n" : "late and wrong\n");
  }
};

TEST(ProcessDeathTest, static_and_thread_local_destructors_may_compute) {
  LINNET_SKIP_UNDER_TSAN();
  const auto end_late = [] {
    static ComputesLate first;  // older than everything the library makes at first use
    static thread_local ComputesLate of_thread;
    (void)&of_thread;
    std::thread([] {
      static thread_local ComputesLate other;
      (void)&other;
      (void)large_sum();
    }).join();
    (void)large_product();
    std::exit(0);
  };
  EXPECT_EXIT(end_late(), testing::ExitedWithCode(0),
              "late and right\n(.|\n)*late and right\n(.|\n)*late and right");
}

}  // namespace
}  // namespace linnet::process_test
