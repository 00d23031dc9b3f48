// Kernels with one mistake each, and one without.
#include "cuda/kernels/mistakes.h"

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {
namespace {

/// The sum of 256 numbers of each block, as first sums of warps.
template <bool kBarrier>
LINNET_DEVICE void sum_block(const MistakeArgs& args) {
  LINNET_SHARED(int, sums, 8);
  int sum = args.in.get()[block_x() * 256 + thread()];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
  if (lane() == 0) sums[warp()] = sum;
  if constexpr (kBarrier) sync_block();
  if (warp() != 0) return;
  sum = lane() < 8 ? sums[lane()] : 0;
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
  if (lane() == 0) args.out.get()[block_x()] = sum;
}

}  // namespace

LINNET_KERNEL(right_sum, MistakeArgs, 256) { sum_block<true>(args); }
LINNET_KERNEL(mistake_missing_barrier, MistakeArgs, 256) { sum_block<false>(args); }

LINNET_KERNEL(mistake_two_barriers, MistakeArgs, 64) {
  if (thread() < 32) {
    sync_block();
  } else {
    sync_block();
  }
}
LINNET_KERNEL(mistake_ended_before_barrier, MistakeArgs, 64) {
  if (thread() == 37) return;
  sync_block();
}
LINNET_KERNEL(mistake_barrier_of_some, MistakeArgs, 64) {
  if (thread() == 5) {
    sync_block();
  } else {
    sync_warp();
    sync_block();
  }
}
LINNET_KERNEL(mistake_two_operations, MistakeArgs, 32) {
  if (lane() < 16) {
    args.out.get()[lane()] = shuffle(lane(), 0);
  } else {
    sync_warp();
  }
}
LINNET_KERNEL(mistake_outside_mask, MistakeArgs, 32) { sync_warp(0x0000ffffu); }
LINNET_KERNEL(mistake_reads_outside_mask, MistakeArgs, 32) {
  if (lane() < 16) args.out.get()[lane()] = shuffle(lane(), lane() + 1, 0x0000ffffu);
}
LINNET_KERNEL(mistake_ended_lane, MistakeArgs, 32) {
  if (lane() == 31) return;
  args.out.get()[lane()] = static_cast<int>(ballot(true));
}
LINNET_KERNEL(mistake_half_a_warp, MistakeArgs, 48) {
  args.out.get()[thread()] = shuffle_xor(thread(), 1);
}
LINNET_KERNEL(mistake_misaligned_load, MistakeArgs, 32) {
  args.out.get()[thread()] = load_pack<4>(args.in.get() + thread())[0];
}
LINNET_KERNEL(mistake_misaligned_store, MistakeArgs, 32) {
  store_pack(args.out.get() + 2 + thread() * 4, Pack<int, 4>{});
}
LINNET_KERNEL(mistake_misaligned_read, MistakeArgs, 32) {
  const auto* at = reinterpret_cast<const double*>(args.in.get() + 1 + 2 * thread());
  args.out.get()[thread()] = static_cast<int>(load_read_only(at));
}
LINNET_KERNEL(mistake_uninitialised, MistakeArgs, 32) {
  LINNET_SHARED(float, values, 32);
  if (thread() < 31) values[thread()] = 1;
  sync_warp();
  float sum = 0;
  for (int i = 0; i < 32; ++i) sum += values[i];
  args.out.get()[thread()] = __builtin_bit_cast(int, sum);
}
LINNET_KERNEL(mistake_left_by_other_block, MistakeArgs, 32) {
  LINNET_SHARED(int, values, 32);
  args.out.get()[block_x() * 32 + thread()] = values[thread()];
  values[thread()] = 1;
}
LINNET_KERNEL(mistake_beyond_shared, MistakeArgs, 32) {
  LINNET_SHARED(int, values, 32);
  int* at = values;
  at[thread() + args.in.get()[0]] = 1;
}
LINNET_KERNEL(mistake_beyond_dynamic, MistakeArgs, 32) {
  shared_memory<int>()[thread() + args.in.get()[0]] = 1;
}
LINNET_KERNEL(mistake_beyond_memory, MistakeArgs, 32) {
  args.out.get()[thread() + args.in.get()[0]] = 1;
}
LINNET_KERNEL(mistake_order_of_blocks, MistakeArgs, 32) {
  if (thread() == 0) args.out.get()[block_x() + 1] = args.out.get()[block_x()] + 1;
}
LINNET_KERNEL(mistake_shuffle_as_barrier, MistakeArgs, 32) {
  LINNET_SHARED(int, values, 32);
  values[thread()] = thread();
  const int next = shuffle(thread() + 1, thread());
  args.out.get()[thread()] = values[next % 32];
}
LINNET_KERNEL(mistake_racing_blocks, MistakeArgs, 32) { args.out.get()[thread()] = block_x(); }

}  // namespace linnet::cuda
