// Products of small matrices by the tensor cores, and what brings the matrices to them. A warp
// works together; each lane holds a part of each matrix, whose place the functions below tell.
//
//   MatrixD d{};
//   mma_m16n8k16<Bf16>(d, a, b);   // d += a b: [16, 8] += [16, 16] [16, 8], in float
//
// Layouts: PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type", "ldmatrix".
#pragma once

#include "kernels/cuda/device/types.h"

namespace linnet::cuda {

/// Words of two numbers of 16 bits: neighbours in a row of A, in a column of B.
struct MatrixA {
  uint32_t word[4];
};
struct MatrixB {
  uint32_t word[2];
};
struct MatrixD {
  float value[4];
};

/// Where the first number of this lane's `word` of A is; the second is in the next column.
LINNET_DEVICE int row_of_a(int word) { return lane() / 4 + word % 2 * 8; }
LINNET_DEVICE int column_of_a(int word) { return lane() % 4 * 2 + word / 2 * 8; }
/// Of B; the second is in the next row.
LINNET_DEVICE int row_of_b(int word) { return lane() % 4 * 2 + word * 8; }
LINNET_DEVICE int column_of_b(int) { return lane() / 4; }
/// Where this lane's `i`-th value of D is.
LINNET_DEVICE int row_of_d(int i) { return lane() / 4 + i / 2 * 8; }
LINNET_DEVICE int column_of_d(int i) { return lane() % 4 * 2 + i % 2; }

}  // namespace linnet::cuda

#if defined(__CUDACC__)
#include "kernels/cuda/device/mma_cuda.h"
#else
#include "cuda/emulator/mma_host.h"
#endif
