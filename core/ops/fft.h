// The primitive of discrete Fourier transforms.
#pragma once

#include "linnet/primitive.h"

namespace linnet {

enum class FftKind : uint8_t {
  kForward,      ///< complex to complex
  kInverse,      ///< the same, divided by the number of elements
  kRealForward,  ///< real to the half of the last axis
  kRealInverse   ///< and back, divided by the number of elements
};

/// Along as many trailing axes as there are lengths: those of the operand, or for `kRealInverse` of
/// the result.
struct FftParams {
  FftKind kind;
  std::vector<int64_t> lengths;
  LINNET_FIELDS(kind, lengths)
};

const Primitive& fft_primitive();

}  // namespace linnet
