#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "cuda/kernels/kernel.h"
#include "cuda/kernels/mistakes.h"

namespace linnet::cuda::machine_test {
namespace {

using emulator::Grid;
using emulator::KernelEntry;
using emulator::kSchedules;
using emulator::LaunchError;
using emulator::Schedule;

struct Memory {
  explicit Memory(size_t count = 4096) : in(count, 1), out(count, -1) {}
  MistakeArgs args() const {
    return {device_pointer<Global<const int>>(in.data()),
            device_pointer<Global<int>>(const_cast<int*>(out.data()))};
  }
  // Aligned as device memory is.
  template <class T>
  struct Aligned {
    using value_type = T;
    T* allocate(size_t n) {
      return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(256)));
    }
    void deallocate(T* at, size_t) { ::operator delete(at, std::align_val_t(256)); }
    bool operator==(const Aligned&) const { return true; }
  };
  std::vector<int, Aligned<int>> in, out;
};

// The message of the mistake, or "none".
std::string mistake(const KernelEntry& kernel, Grid grid = {}, uint32_t shared_bytes = 0) {
  const Memory memory;
  try {
    emulator::launch(kernel, grid, memory.args(), shared_bytes);
  } catch (const LaunchError& error) {
    return error.what();
  }
  return "none";
}

int wrong_sums(const KernelEntry& kernel, int blocks) {
  Memory memory(static_cast<size_t>(blocks) * 256);
  emulator::launch(kernel, {static_cast<uint32_t>(blocks)}, memory.args());
  int wrong = 0;
  for (int i = 0; i < blocks; ++i) wrong += memory.out[static_cast<size_t>(i)] != 256;
  return wrong;
}

class Machine : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { emulator::set_schedule(GetParam()); }
  // All words of `parts` occur, in this order.
  void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
    size_t at = 0;
    for (const std::string& part : parts) {
      const size_t found = message.find(part, at);
      EXPECT_NE(found, std::string::npos) << "'" << part << "' in: " << message;
      if (found != std::string::npos) at = found + part.size();
    }
  }
};

TEST_P(Machine, RunsTheRightKernel) { EXPECT_EQ(wrong_sums(linnet_kernel_right_sum, 20), 0); }

TEST_P(Machine, MistakesAreNamedWithTheirPlace) {
  expect_parts(mistake(linnet_kernel_mistake_two_barriers, {.x = 3}),
               {"mistake_two_barriers: block (", ", 0, 0), thread ", "mistakes.cpp:",
                "different barriers: thread ", "is at sync_block", "mistakes.cpp:"});
  expect_parts(
      mistake(linnet_kernel_mistake_ended_before_barrier),
      {"block (0, 0, 0)", "mistakes.cpp:", "sync_block waits for ever", "thread 37 has ended"});
  expect_parts(mistake(linnet_kernel_mistake_barrier_of_some),
               {"mistakes.cpp:", "sync_warp waits for ever", "thread 5 is at sync_block"});
  expect_parts(mistake(linnet_kernel_mistake_two_operations),
               {"mistakes.cpp:", "different operations: thread ", " of lanes 0xffffffff"});
  expect_parts(mistake(linnet_kernel_mistake_outside_mask),
               {"mistakes.cpp:", "the lane is not in its mask"});
  expect_parts(mistake(linnet_kernel_mistake_reads_outside_mask),
               {"thread 15", "mistakes.cpp:", "the shuffle reads is not in the mask", "thread 16"});
  expect_parts(mistake(linnet_kernel_mistake_half_a_warp),
               {"mistakes.cpp:", "a lane of the mask is not there: thread 48"});
}

// Whether the lane has ended when the others come depends on the order; that it is a mistake does
// not.
TEST_P(Machine, AMaskWithALaneThatEndsIsAMistake) {
  expect_parts(mistake(linnet_kernel_mistake_ended_lane),
               {"mistakes.cpp:", "mask", "thread 31 has ended"});
}

TEST_P(Machine, MisalignedAccessesAreMistakes) {
  expect_parts(mistake(linnet_kernel_mistake_misaligned_load),
               {"mistakes.cpp:", "misaligned", "no multiple of 16 bytes"});
  expect_parts(mistake(linnet_kernel_mistake_misaligned_store),
               {"mistakes.cpp:", "misaligned", "no multiple of 16 bytes"});
  expect_parts(mistake(linnet_kernel_mistake_misaligned_read),
               {"mistakes.cpp:", "misaligned", "no multiple of 8 bytes"});
}

TEST_P(Machine, SharedMemoryOfABlockIsNotANumberAtFirst) {
  Memory memory;
  emulator::launch(linnet_kernel_mistake_uninitialised, {}, memory.args());
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(memory.out[0])));
  emulator::launch(linnet_kernel_mistake_left_by_other_block, {.x = 4}, memory.args());
  for (size_t i = 0; i < 4 * 32; ++i) EXPECT_EQ(memory.out[i], -1) << i;
}

#if !defined(__SANITIZE_ADDRESS__)  // which ends the program, at the line
TEST_P(Machine, AWriteBeyondSharedMemoryIsFound) {
  expect_parts(mistake(linnet_kernel_mistake_beyond_shared), {"ends of shared array 'values'"});
  expect_parts(mistake(linnet_kernel_mistake_beyond_dynamic, {}, 32 * 4),
               {"ends of shared array 'dynamic shared memory'"});
}
#endif

TEST_P(Machine, AMistakeLeavesNothingBehind) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(mistake(linnet_kernel_mistake_ended_before_barrier), "none");
    EXPECT_NE(mistake(linnet_kernel_mistake_two_operations), "none");
    EXPECT_EQ(wrong_sums(linnet_kernel_right_sum, 1), 0);
  }
}

TEST_P(Machine, SizesOfALaunchAreChecked) {
  EXPECT_NE(mistake(linnet_kernel_right_sum, {.x = 0}), "none");
  EXPECT_NE(mistake(linnet_kernel_right_sum, {.y = 65536}), "none");
  const Memory memory;
  const MistakeArgs args = memory.args();
  EXPECT_THROW(emulator::launch(linnet_kernel_right_sum, {}, 257, &args), LaunchError);
  EXPECT_THROW(emulator::launch(linnet_kernel_right_sum, {}, 0, &args), LaunchError);
  struct Other {
    int x;
  };
  EXPECT_THROW(emulator::launch(linnet_kernel_right_sum, {}, Other{}), LaunchError);
}

// Threads of the host take turns; fibres that one of them left go on under another.
TEST_P(Machine, LaunchesOfSeveralThreads) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, -1);
  for (size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&wrong, i] { wrong[i] = wrong_sums(linnet_kernel_right_sum, 10); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

INSTANTIATE_TEST_SUITE_P(Schedules, Machine, testing::ValuesIn(kSchedules),
                         [](const auto& info) { return name_of(info.param); });

#if !defined(__SANITIZE_THREAD__)  // which ends the program at a race
// A mistake that one order hides is seen in another.
TEST(MachineSchedules, SeeAMissingBarrier) {
  int seen = 0;
  for (Schedule schedule : kSchedules) {
    emulator::set_schedule(schedule);
    seen += wrong_sums(linnet_kernel_mistake_missing_barrier, 16) != 0;
  }
  EXPECT_GE(seen, 2);
  EXPECT_LT(seen, 4) << "one order hides it, which is why there are four";
}

TEST(MachineSchedules, SeeThatBlocksAreTakenForOrdered) {
  const auto last = [](Schedule schedule) {
    emulator::set_schedule(schedule, 3);
    Memory memory;
    memory.out[0] = 0;
    emulator::launch(linnet_kernel_mistake_order_of_blocks, {.x = 100}, memory.args());
    return memory.out[100];
  };
  EXPECT_EQ(last(Schedule::kInOrder), 100);
  EXPECT_NE(last(Schedule::kReversed), 100);
  EXPECT_NE(last(Schedule::kRandom), 100);
}
#endif

TEST(MachineSchedules, RandomOrdersFollowTheSeed) {
  const auto order = [](uint64_t seed) {
    emulator::set_schedule(Schedule::kRandom, seed);
    return mistake(linnet_kernel_mistake_outside_mask);  // of the first thread that runs
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST(MachineEnvironment, NamesTheSchedule) {
  for (Schedule schedule : kSchedules) {
    EXPECT_EXIT(
        {
          setenv("LINNET_EMULATOR_SCHEDULE", name_of(schedule), 1);
          std::_Exit(emulator::schedule_of_environment() == schedule ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  }
  setenv("LINNET_EMULATOR_SCHEDULE", "sideways", 1);
  EXPECT_THROW(emulator::schedule_of_environment(), LaunchError);
  unsetenv("LINNET_EMULATOR_SCHEDULE");
}

std::atomic<uint64_t> translated = 0;

TEST(MachineMemory, AddressesAreTranslated) {
  static std::vector<int> bytes(256, 1);
  emulator::set_translation([](uint64_t address) -> void* {
    translated = address;
    return bytes.data();
  });
  const MistakeArgs args{{0xab0000000000}, {0xcd0000000000}};
  emulator::launch(linnet_kernel_right_sum, {}, args);
  emulator::set_translation(nullptr);
  EXPECT_EQ(bytes[0], 256);
  EXPECT_EQ(translated, 0xcd0000000000u);
}

#if defined(__SANITIZE_ADDRESS__)
TEST(MachineDeathTest, TheAddressSanitizerNamesTheLine) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  emulator::set_schedule(Schedule::kInOrder);
  EXPECT_DEATH(mistake(linnet_kernel_mistake_beyond_shared), "heap-buffer-overflow");
  EXPECT_DEATH(mistake(linnet_kernel_mistake_beyond_dynamic, {}, 32 * 4), "mistakes.cpp");
  EXPECT_DEATH(
      {
        Memory memory(32);
        emulator::launch(linnet_kernel_mistake_beyond_memory, {}, memory.args());
      },
      "heap-buffer-overflow");
}
#endif

#if defined(__SANITIZE_THREAD__)
TEST(MachineDeathTest, TheThreadSanitizerSeesRaces) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto race = testing::ExitedWithCode(66);
  for (Schedule schedule : kSchedules) {  // whether or not the result is right
    emulator::set_schedule(schedule);
    EXPECT_EXIT((mistake(linnet_kernel_mistake_missing_barrier), std::exit(0)), race, "data race");
  }
  EXPECT_EXIT((mistake(linnet_kernel_mistake_shuffle_as_barrier), std::exit(0)), race, "data race");
  EXPECT_EXIT((mistake(linnet_kernel_mistake_racing_blocks, {.x = 2}), std::exit(0)), race,
              "data race");
}
#endif

}  // namespace
}  // namespace linnet::cuda::machine_test
