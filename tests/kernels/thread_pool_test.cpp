// The threads that kernels share: every part once, whoever calls, whatever it throws.
#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

namespace linnet::cpu::thread_pool_test {
namespace {

/// How often each part of a region was run.
std::vector<int> runs_of(int parts) {
  std::vector<int> runs(static_cast<size_t>(parts), 0);
  run_parts(parts, [&](int i) { ++runs[static_cast<size_t>(i)]; });
  return runs;
}

TEST(ThreadPool, every_part_runs_once) {
  for (int round = 0; round < 2000; ++round) {
    const int parts = round % 6;
    EXPECT_EQ(runs_of(parts), std::vector<int>(static_cast<size_t>(parts), 1));
  }
  EXPECT_EQ(runs_of(40), std::vector<int>(40, 1)) << "more than there are processors";
}

TEST(ThreadPool, what_parts_write_is_seen_by_the_caller_and_by_the_next_region) {
  std::vector<int64_t> sums(4, 0);
  for (int round = 0; round < 500; ++round) {
    const std::vector<int64_t> before = sums;
    // Each part reads what another thread wrote.
    run_parts(4, [&](int i) { sums[i] = before[(i + 1) % 4] + i; });
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they sleep
  }
  int64_t total = 0;
  for (int64_t sum : sums) total += sum;
  EXPECT_EQ(total, 500 * (0 + 1 + 2 + 3));
}

TEST(ThreadPool, parts_run_at_the_same_time) {
  // Each waits for the other. One that is not begun until the caller is done would be the caller's,
  // so the caller's waits first.
  std::atomic<int> here{0};
  run_parts(2, [&](int i) {
    if (i == 0) {
      for (int k = 0; here == 0 && k < 5000; ++k)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ++here;
  });
  EXPECT_EQ(here, 2);
}

TEST(ThreadPool, R_054_an_exception_arrives_at_the_caller_and_the_pool_survives) {
  for (int bad = 0; bad < 3; ++bad) {
    std::atomic<int> done{0};
    const auto part = [&](int i) {
      ++done;
      if (i == bad) throw std::runtime_error("part");
    };
    EXPECT_THROW(run_parts(3, part), std::runtime_error);
    EXPECT_EQ(done, 3) << "the others are done nevertheless";
    EXPECT_THROW(run_parts(1, [](int) { throw std::logic_error("alone"); }), std::logic_error);
    EXPECT_EQ(runs_of(3), std::vector<int>(3, 1));
    EXPECT_FALSE(in_parallel_region());
  }
  EXPECT_THROW(run_parts(5, [](int) { throw std::runtime_error("all"); }), std::runtime_error);
}

TEST(ThreadPool, R_055_nested_regions_run_on_the_thread_they_are_in) {
  std::atomic<int> elsewhere{0}, inner{0};
  run_parts(3, [&](int) {
    EXPECT_TRUE(in_parallel_region());
    const std::thread::id self = std::this_thread::get_id();
    run_parts(4, [&](int) {
      ++inner;
      elsewhere += std::this_thread::get_id() != self;
    });
  });
  EXPECT_EQ(inner, 12);
  EXPECT_EQ(elsewhere, 0);
}

TEST(ThreadPool, R_055_many_callers_at_once) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 6; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) wrong += runs_of(3) != std::vector<int>(3, 1);
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, regions_of_a_thread_that_ends_leave_the_pool_to_others) {
  std::thread([] { (void)runs_of(2); }).join();
  EXPECT_EQ(runs_of(2), std::vector<int>(2, 1));
}

size_t threads_of_this_process() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

TEST(ThreadPool, R_058_the_threads_stay_the_same) {
  (void)runs_of(3);
  const size_t before = threads_of_this_process();
  for (int i = 0; i < 50; ++i) (void)runs_of(1 + i % 3);
  EXPECT_EQ(threads_of_this_process(), before);
}

}  // namespace
}  // namespace linnet::cpu::thread_pool_test
