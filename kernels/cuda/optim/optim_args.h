// Parameters and instances of kernels over lists of tensors: a launch takes many tensors, whose
// addresses are among its parameters.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

inline constexpr int kListThreads = 256;
/// Elements of one tensor that a block takes.
inline constexpr int kListBlock = 4096;

/// The tensors of a launch: the blocks of tensor i begin at first_block[i], and first_block[count]
/// is the number of blocks.
template <int most>
struct TensorTable {
  long long size[most];
  int first_block[most + 1];
  int count;
};

/// Rates and corrections are read from the device.
struct AdamWSettings {
  float b1, b2, b1_complement, b2_complement, epsilon, epsilon_root, weight_decay;
};
struct AdamWTensor {
  Global<const float> parameter, gradient, first_moment, second_moment;
  Global<float> new_parameter, new_first_moment, new_second_moment;
};
template <int most>
struct AdamWArgs {
  static constexpr int kMost = most;
  static constexpr unsigned kPointers = 3 + 7 * most;
  Global<const float> rate, first_correction, second_correction;
  AdamWTensor tensors[most];
  TensorTable<most> table;
  AdamWSettings settings;
};

/// One sum for each block, in double.
template <int most>
struct SumOfSquaresArgs {
  static constexpr int kMost = most;
  static constexpr unsigned kPointers = 1 + most;
  Global<double> sums;
  Global<const void> tensors[most];
  TensorTable<most> table;
};
struct FinishSumOfSquaresArgs {
  static constexpr unsigned kPointers = 2;
  Global<const double> sums;
  Global<void> out;
  long long count;
  int is_double;  ///< the type of the result
};

// Parameters have at most 32,764 bytes; short lists do not carry the long table.
inline constexpr int kShortList = 16, kLongAdamW = 400, kLongSquares = 1024;

}  // namespace linnet::cuda

// X(name, tensors, elements of an access), the widest access first
#define LINNET_ADAMW_KERNELS(X)        \
  X(adamw_short_vector, kShortList, 4) \
  X(adamw_long_vector, kLongAdamW, 4)  \
  X(adamw_short_scalar, kShortList, 1) \
  X(adamw_long_scalar, kLongAdamW, 1)

// X(name, dtype, T, tensors)
#define LINNET_SUM_OF_SQUARES_KERNELS(X)                 \
  X(sum_of_squares_short_bf16, kBF16, Bf16, kShortList)  \
  X(sum_of_squares_long_bf16, kBF16, Bf16, kLongSquares) \
  X(sum_of_squares_short_f16, kF16, Half, kShortList)    \
  X(sum_of_squares_long_f16, kF16, Half, kLongSquares)   \
  X(sum_of_squares_short_f32, kF32, float, kShortList)   \
  X(sum_of_squares_long_f32, kF32, float, kLongSquares)  \
  X(sum_of_squares_short_f64, kF64, double, kShortList)  \
  X(sum_of_squares_long_f64, kF64, double, kLongSquares)
