// Matrix product for every element type and stride: the fallback behind faster libraries, and their
// test.
//
//   cpu::reference_matmul({DType::kI32, DType::kI32, 1, m, n, k, a, {0, k, 1}, b, {0, n, 1}, c},
//   workspace);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// out [batch, m, n] = a [batch, m, k] times b [batch, k, n]. Strides are in elements, in the order
/// of those dimensions; zero and negative ones are fine. The result is dense.
struct MatmulProblem {
  DType dtype;      ///< of both operands
  DType out_dtype;  ///< of the result, e.g. f32 for bf16 or i32 for i8
  int64_t batch, m, n, k;
  const void* a;
  std::array<int64_t, 3> a_strides;
  const void* b;
  std::array<int64_t, 3> b_strides;
  void* out;
};

/// Accumulates in f32 for 16-bit floats and f32, in f64 for f64, modulo 2^64 for integers (so that
/// the result is right modulo the width of its type), "or of ands" for bool; converts once at the
/// end. The order of summation does not depend on the number of threads.
void reference_matmul(const MatmulProblem& problem, void* workspace);
/// Bytes of its workspace, aligned to 64; no address in the problem counts.
size_t reference_matmul_workspace(const MatmulProblem& problem);

}  // namespace linnet::cpu
