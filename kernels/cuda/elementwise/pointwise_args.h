// The parameters of elementwise kernels.
#pragma once

#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

inline constexpr int kPointwiseThreads = 256;

/// All value operands and results have the storage type `storage`, a DType; a result of `cast`
/// has `to`. What else is bool is one byte.
template <int kArity>
struct PointwiseArgs {
  static constexpr unsigned kPointers = kArity + 1;
  Global<const char> x[kArity];
  Global<char> y;  ///< dense
  /// Positions are packs of elements in kernels that take packs, else elements.
  IndexSpace<kArity> space;
  unsigned repeated = 0;  ///< bit k: operand k has one element for all of a pack
  int tail = 0;  ///< elements of the last pack, 0 for all; the space has one dimension then
  int op = 0;    ///< a ScalarOp
  int storage = 0, to = 0;
  double parameter = 0;
};

}  // namespace linnet::cuda
