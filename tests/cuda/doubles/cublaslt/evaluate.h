// The product itself, as plain loops in double.
#pragma once

#include "rules.h"

namespace linnet::fake_cublaslt {

/// A call with everything it needs when it runs, long after the descriptors are gone.
struct Work {
  Operation operation;
  Layout a_layout, b_layout, c_layout, d_layout;
  uint64_t a, b, c, d, workspace;  ///< addresses of the device
  size_t workspace_bytes;
  double alpha, beta;
};

/// D = epilogue(alpha op(A) op(B) + beta C + bias), rounded to the type of D. Operands are rounded
/// to TF32 first where the operation allows it. The workspace is overwritten.
/// @throws std::runtime_error if an operand does not lie in memory of the device.
void evaluate(const Work& work);

}  // namespace linnet::fake_cublaslt
