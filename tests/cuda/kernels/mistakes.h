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

extern "C" {
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_right_sum;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_missing_barrier;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_two_barriers;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_ended_before_barrier;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_barrier_of_some;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_two_operations;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_outside_mask;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_reads_outside_mask;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_ended_lane;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_half_a_warp;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_misaligned_load;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_misaligned_store;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_misaligned_read;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_uninitialised;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_left_by_other_block;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_beyond_shared;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_beyond_dynamic;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_beyond_memory;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_order_of_blocks;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_shuffle_as_barrier;
extern const linnet::cuda::emulator::KernelEntry linnet_kernel_mistake_racing_blocks;
}
