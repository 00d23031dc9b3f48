// Kernels with one mistake each.
#pragma once

#include "cuda/emulator/machine.h"
#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

struct MistakeArgs {
  static constexpr unsigned kPointers = 2;
  Global<const int> in;
  Global<int> out;
};

}  // namespace linnet::cuda

#define LINNET_MISTAKES(X)                                                                       \
  X(right_sum)                                                                                   \
  X(mistake_missing_barrier)                                                                     \
  X(mistake_two_barriers)                                                                        \
  X(mistake_ended_before_barrier) X(mistake_barrier_of_some) X(mistake_two_operations)           \
      X(mistake_outside_mask) X(mistake_reads_outside_mask) X(mistake_ended_lane)                \
          X(mistake_half_a_warp) X(mistake_misaligned_load) X(mistake_misaligned_store)          \
              X(mistake_misaligned_read) X(mistake_uninitialised) X(mistake_left_by_other_block) \
                  X(mistake_beyond_shared) X(mistake_beyond_dynamic) X(mistake_beyond_memory)    \
                      X(mistake_order_of_blocks) X(mistake_shuffle_as_barrier)                   \
                          X(mistake_racing_blocks)
#define X(name) extern "C" const linnet::cuda::emulator::KernelEntry linnet_kernel_##name;
LINNET_MISTAKES(X)
#undef X
