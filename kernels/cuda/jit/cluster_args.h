// The parameters of generated kernels. Operands come first, then results; how many there are is
// rounded up.
#pragma once

#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

inline constexpr int kClusterThreads = 256;

/// All operands are dense, or one number each.
template <int kOperands>
struct FlatClusterArgs {
  static constexpr unsigned kPointers = kOperands;
  Global<char> operands[kOperands];
  unsigned packs = 0;
  int tail = 0;  ///< elements of the last pack, 0 for all
};

/// Positions are packs of elements. Results are dense.
template <int kOperands>
struct StridedClusterArgs {
  static constexpr unsigned kPointers = kOperands;
  Global<char> operands[kOperands];
  IndexSpace<kOperands> space;
};

}  // namespace linnet::cuda
