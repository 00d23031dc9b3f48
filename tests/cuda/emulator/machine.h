// The machine that kernels run on when g++ compiles them: runs the blocks of a launch one after the
// other, and the threads of a block as fibres that change at barriers and warp operations.
//
//   const auto* kernel = static_cast<const KernelEntry*>(dlsym(handle, "linnet_kernel_scale_f32"));
//   try {
//     launch(*kernel, {.x = blocks}, kernel->threads, &args, shared_bytes);
//   } catch (const LaunchError& error) { … }
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace linnet::cuda::emulator {

/// What LINNET_KERNEL(name, …) exports, as the object `linnet_kernel_<name>`.
struct KernelEntry {
  const char* name;
  uint32_t parameter_bytes;
  uint32_t threads;  ///< of a block, at most
  void (*run)(const void* parameters);
  const char* file;
  int line;
};

/// Blocks of a launch.
struct Grid {
  uint32_t x = 1, y = 1, z = 1;
};

/// A mistake of a kernel. The message names the kernel, the block, the thread and the line.
struct LaunchError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs a kernel to its end. `parameters` (`kernel.parameter_bytes`) are copied first. Launches of
/// several threads of the host happen one after the other.
/// @param threads of a block, at most `kernel.threads`.
/// @param shared_bytes of dynamic shared memory.
/// @throws LaunchError if the kernel makes a mistake; its other threads are then dropped where they
/// are, and the next launch starts afresh.
void launch(const KernelEntry& kernel, Grid grid, uint32_t threads, const void* parameters,
            uint32_t shared_bytes = 0);

template <class Args>
  requires std::is_class_v<Args>
void launch(const KernelEntry& kernel, Grid grid, const Args& args, uint32_t shared_bytes = 0) {
  static_assert(std::is_trivially_copyable_v<Args>);
  if (sizeof(Args) != kernel.parameter_bytes) {
    throw LaunchError(std::string(kernel.name) + ": parameters of " + std::to_string(sizeof(Args)) +
                      " bytes, expected " + std::to_string(kernel.parameter_bytes));
  }
  launch(kernel, grid, kernel.threads, &args, shared_bytes);
}

/// In which order blocks, and threads between two barriers, run. A missing barrier that one order
/// hides is seen in another.
enum class Schedule : uint8_t {
  kInOrder,
  kReversed,
  kWarp,    ///< one warp as far as it gets, then the next
  kRandom,  ///< any thread that can run; blocks in any order
};
inline constexpr Schedule kSchedules[] = {Schedule::kInOrder, Schedule::kReversed, Schedule::kWarp,
                                          Schedule::kRandom};

/// Those in which the tests of kernels run each of them: all, whose results are compared; under the
/// thread sanitizer, which asks what is ordered and not what came first, one.
#if defined(__SANITIZE_THREAD__)
inline constexpr Schedule kTestedSchedules[] = {Schedule::kRandom};
#else
inline constexpr std::span<const Schedule> kTestedSchedules(kSchedules);
#endif

/// Of all launches from now on. Before the first call it is that of the environment:
/// LINNET_EMULATOR_SCHEDULE = in_order, reversed, warp or random, and LINNET_EMULATOR_SEED.
void set_schedule(Schedule schedule, uint64_t seed = 0);
/// @throws LaunchError if the environment names none.
Schedule schedule();
Schedule schedule_of_environment();
const char* name_of(Schedule schedule);

/// Where the bytes of a device's address can be reached; by default there. A driver whose addresses
/// cannot be touched by host code sets it.
using Translate = void* (*)(uint64_t address);
void set_translation(Translate translate);

}  // namespace linnet::cuda::emulator
