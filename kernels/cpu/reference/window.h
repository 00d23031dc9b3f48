// Reductions over sliding windows and their gradients, for every element type and any rank:
// pooling.
//
// Max pooling 2x2 of [N, H, W, C]: window {1, 2, 2, 1}, stride {1, 2, 2, 1}.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/reduce/reduce.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

/// A window over every dimension of a tensor. All lists have one entry per dimension. Padding
/// counts as the identity of the reduction; negative padding cuts.
struct WindowGeometry {
  Shape shape;  ///< of the operand
  Shape window;
  Shape stride;
  Shape pad_low, pad_high;
  Shape base_dilation;    ///< distance of operand elements, 1 for neighbours
  Shape window_dilation;  ///< distance of window elements

  /// Window of the given sizes with stride 1, no padding and no dilation.
  static WindowGeometry plain(Shape shape, Shape window);
  /// Shape of the result.
  Shape out_shape() const;
};

/// Dense out [out_shape...] = reduction (sum, prod, max or min) of the operand elements under each
/// window. Floats of 16 bits are combined in f32. NaN wins in max and min.
/// @throws ValueError for another kind.
void reduce_window(ReduceKind kind, DType dtype, const void* data, std::span<const int64_t> strides,
                   const WindowGeometry& geometry, void* out, void* workspace);
/// Bytes of its workspace, aligned to 64.
size_t reduce_window_workspace(DType dtype, std::span<const int64_t> strides,
                               const WindowGeometry& geometry);

/// Gradient of a max (or min) reduction: every dy [out_shape...] is added to the dense dx
/// [shape...] at the first extreme element of its window in row-major order (the first NaN if there
/// is one). A window that covers only padding contributes nothing.
void select_and_scatter_add(ReduceKind kind, DType dtype, const void* data,
                            std::span<const int64_t> strides, const WindowGeometry& geometry,
                            const void* dy, void* dx, void* workspace);
/// Bytes of its workspace, aligned to 64.
size_t select_workspace(DType dtype, std::span<const int64_t> strides,
                        const WindowGeometry& geometry);

}  // namespace linnet::cpu
