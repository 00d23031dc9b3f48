// The tensors of one stochastic gradient step, shared by all instruction sets of the kernel.
#pragma once

namespace linnet::cpu {

struct SgdBuffers {
  const float *param, *gradient, *trace;  // trace is null without momentum
  float *param_out, *trace_out;
};

}  // namespace linnet::cpu
