// Private: a convolution as several smaller ones, for threads to compute.
#pragma once

#include <vector>

#include "kernels/cpu/onednn/onednn.h"

namespace linnet::cpu::onednn {

/// A convolution of some images, or of some rows of one image (a row is a position of the first
/// spatial dimension), and where its x and y begin in those of the whole, in elements.
struct ConvPiece {
  ConvSpec spec;
  int64_t x_offset = 0, y_offset = 0;
};

enum class ConvRows {
  kOfY,  ///< pieces have rows of y of their own, and share rows of x
  kOfX,  ///< the other way round
};

/// At most `most` pieces of about the same size.
std::vector<ConvPiece> divide(const ConvSpec& spec, int64_t most, ConvRows rows);

}  // namespace linnet::cpu::onednn
