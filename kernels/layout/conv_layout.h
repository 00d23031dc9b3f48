// Private: convolutions that a library does not take as they are, as others that it takes.
#pragma once

#include <optional>

#include "core/ops/conv.h"
#include "linnet/kernel.h"

namespace linnet {

/// Neither the input is dilated nor anything cut off.
bool is_ordinary(const ConvParams& params);

/// Of a convolution of a dilated x with stride 1: the ordinary convolution from y to x whose
/// transpose it is. Its stride is that dilation, and its kernel is this one backwards with input
/// and output exchanged (`FlippedKernel`).
struct TransposedConv {
  Shape in_size, strides, padding_low, padding_high;
};
/// Empty if the strides are not 1, nothing is dilated, or that convolution would need negative
/// padding.
std::optional<TransposedConv> transposed_conv(const ConvParams& params);

/// A kernel [spatial…, in / groups, out] read backwards: strides of spatial…, in / groups, group,
/// out / groups.
struct FlippedKernel {
  Shape shape;
  Strides strides;
  int64_t offset = 0;

  FlippedKernel(const ConvParams& params, int64_t in_channels, int64_t out_channels);
};

/// x with its padding and dilation written out, or cut off, and where its elements are in there.
struct PaddedInput {
  Shape size;   ///< spatial
  Shape shape;  ///< of the elements that are in both
  Strides own, padded;
  int64_t own_offset = 0, padded_offset = 0, padded_size = 0;

  /// @param x_shape [batch, spatial…, channels]
  PaddedInput(const ConvParams& params, std::span<const int64_t> x_shape);

 private:
  void add_dimension(const ConvParams& params, size_t i);
};

}  // namespace linnet
