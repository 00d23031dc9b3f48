// Parameters and names of argmax and argmin.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kArgReduceThreads = 256;

struct ArgReduceArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<int32_t> y;
  Walk<1> lines;
  int64_t count;   // of lines
  int64_t length;  // of a line, at least 1
  int64_t stride;
  int32_t lanes;  // threads of a line: 1, a warp, or the block
  ElementType type;
  bool maximum;
};

/// X(name, T); the last takes every type.
#define LINNET_ARG_REDUCE_KERNELS(X) X(f32, float) X(bf16, Bf16) X(f16, Half) X(any, void)

}  // namespace linnet::cuda
