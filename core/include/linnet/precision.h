// How exactly accelerators multiply f32 matrices.
//
//   set_matmul_precision(Precision::kHighest);      // everything after it, on all threads
//
// The environment variable LINNET_MATMUL_PRECISION (default, high, highest) sets it from outside.
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)

namespace linnet {

/// Of products and convolutions of f32 operands. Sums are of f32 in each case.
enum class Precision : uint8_t {
  kDefault,  ///< what the device does fastest: on GPUs as `kHigh`
  kHigh,     ///< operands may be rounded to TF32, which has 10 bits behind the point
  kHighest,  ///< operands keep their 23 bits
};

/// The precision for this process. The CPU always computes as `kHighest` does.
Precision matmul_precision();
/// Compiled programs follow from their next call on.
void set_matmul_precision(Precision precision);

}  // namespace linnet

#pragma GCC visibility pop
