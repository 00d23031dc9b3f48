// Window reductions over spatial dimensions of channels-last tensors, and their gradients.
//
//   PoolSpec spec{.kind = PoolKind::kMax, .batch = 64, .channels = 32, .in_size = {28, 28},
//                 .window = {2, 2}, .strides = {2, 2}};
//   PrepareResult forward = prepare_pool_forward(spec);     // x -> y
//   PrepareResult backward = prepare_pool_backward(spec);   // x, dy -> dx
#pragma once

#include "kernels/cpu/onednn/prepared.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

/// `kAverageIncludePadding` divides by the size of the window, `kAverageExcludePadding` by the
/// number of its positions inside the input (none: 0 / 0).
enum class PoolKind : uint8_t { kMax, kSum, kAverageIncludePadding, kAverageExcludePadding };

/// x[batch, spatial..., channels], y[batch, windows..., channels], both dense.
struct PoolSpec {
  PoolKind kind = PoolKind::kMax;
  int64_t batch = 0, channels = 0;
  Shape in_size, window;            ///< 1 to 3 spatial dimensions
  Shape strides;                    ///< empty: ones
  Shape padding_low, padding_high;  ///< may be unequal or negative; empty: zeros
  Shape dilation;                   ///< of the window; empty: ones
  DType dtype = DType::kF32;        ///< f32, f64 or bf16 (which is summed in f32)

  /// Spatial sizes of y.
  Shape out_size() const;
};

/// Input: x. Output: y. A maximum over padding only is -infinity; NaN is greater than anything.
/// Declines other element types and empty tensors.
PrepareResult prepare_pool_forward(const PoolSpec& spec);

/// Inputs: x and dy for the maximum, dy alone for the others. Output: dx.
/// The gradient of a maximum goes to its first position in row-major order of the window, which is
/// found again from x, so that the forward pass has nothing to save.
PrepareResult prepare_pool_backward(const PoolSpec& spec);

}  // namespace linnet::cpu
