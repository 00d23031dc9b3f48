// Pooling: windows that slide over the spatial dimensions and give one number each.
//
//   Tensor y = layers::max_pool(x, {2, 2}, {2, 2});     // f32[n, 28, 28, c] -> f32[n, 14, 14, c]
//
// x is [batch..., spatial..., channels] with as many spatial dimensions as the window has numbers
// and any number of batch dimensions, also none. Strides are 1 unless given. The same functions are
// in both module APIs (L-157, N-131).
#pragma once

#include "linnet/layers/window.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// Sum, maximum or minimum of each window; padding counts as 0, -inf and +inf.
/// @throws ShapeError if x has too few dimensions, ValueError if strides or padding do not fit the
/// window.
Tensor pool(const Tensor& x, WindowReduction reduction, const PerDimension& window,
            const PerDimension& strides = 1, const Padding& padding = "VALID");
/// Mean of each window, summed in f32 at least and given in x's dtype, of integers in f32. Padding
/// counts as zeros, or not at all without `count_include_pad`.
Tensor avg_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides = 1,
                const Padding& padding = "VALID", bool count_include_pad = true);
Tensor max_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides = 1,
                const Padding& padding = "VALID");
Tensor min_pool(const Tensor& x, const PerDimension& window, const PerDimension& strides = 1,
                const Padding& padding = "VALID");

}  // namespace linnet::layers

namespace linnet::linen {
using layers::avg_pool;
using layers::max_pool;
using layers::min_pool;
using layers::pool;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::avg_pool;
using layers::max_pool;
using layers::min_pool;
using layers::pool;
}  // namespace linnet::nnx

#pragma GCC visibility pop
