// Fractionally strided convolution, as jax.lax.conv_transpose.
//
//   Tensor y = conv_transpose(x, w, {.strides = {2, 2}});   // [n, h, w, in] -> [n, 2h, 2w, out]
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet {

struct ConvTransposeOptions {
  std::vector<int64_t> strides = {};  ///< per spatial dimension; empty means 1
  std::string padding = "SAME";       ///< SAME or VALID, of the convolution this one undoes
  /// Low, high per spatial dimension, in place of the rule; of this convolution.
  std::optional<std::vector<std::pair<int64_t, int64_t>>> edges = {};
  /// `edges` are those of the convolution this one undoes.
  bool consistent_padding = false;
  std::vector<int64_t> rhs_dilation = {};  ///< empty means 1
  /// The kernel is that of the convolution this one undoes: it is flipped in space, and in and out
  /// are exchanged, so that the result is that convolution's transpose.
  bool transpose_kernel = false;
};

/// x: [batch, spatial…, in], w: [spatial…, in, out] ([spatial…, out, in] if it is transposed) ->
/// [batch, spatial…, out] (J-026).
/// @throws ValueError for another rule of padding, ShapeError if the operands do not fit.
Tensor conv_transpose(const Tensor& x, const Tensor& w, const ConvTransposeOptions& options = {});

/// Padding that makes size * stride outputs (SAME), or size * stride + max(kernel - stride, 0)
/// (VALID), with dilated kernels of the sizes `window`. @throws ValueError for another rule.
std::vector<std::pair<int64_t, int64_t>> conv_transpose_padding(
    std::string_view same_or_valid, std::span<const int64_t> window,
    std::span<const int64_t> strides, std::span<const int64_t> dilation = {});

}  // namespace linnet

#pragma GCC visibility pop
