// Strided positions: a number, counted row-major over a few dimensions, to offsets in several
// operands that are walked together.
//
//   const Offsets<2> at = offsets(args.lines, line);   // of line `line` in x and in y
//   x += at[0], y += at[1];
#pragma once

#include <cstdint>

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

/// Dimensions that remain after neighbours have been merged.
inline constexpr int kWalkRank = 6;

/// What divides positions by the size of a dimension, without the division of 64 bits, which is a
/// call on the device. See Granlund and Montgomery, "Division by invariant integers using
/// multiplication", 1994.
struct PositionDivisor {
  int64_t size = 1;
  double inverse = 1;                  // of positions below 2^53
  uint32_t multiplier = 0, shift = 0;  // of positions below 2^31

  PositionDivisor() = default;
  /// @param of at least 2
  explicit PositionDivisor(int64_t of) : size(of), inverse(1 / static_cast<double>(of)) {
    if (of >= int64_t{1} << 31) return;  // only positions beyond that have more than quotient 0
    while ((int64_t{1} << shift) < of) ++shift;
    const uint64_t power = uint64_t{1} << (31 + shift);
    const uint64_t divisor = static_cast<uint64_t>(of);
    multiplier = static_cast<uint32_t>((power + divisor - 1) / divisor);
    --shift;
  }

  LINNET_HOST_DEVICE int64_t quotient(int64_t position) const {
    if (size == 1) return position;
    if ((position >> 31) == 0)
      return static_cast<int64_t>((static_cast<uint64_t>(position) * multiplier >> 32) >> shift);
    int64_t result = static_cast<int64_t>(static_cast<double>(position) * inverse);
    const int64_t rest = position - result * size;
    return result + (rest >= size ? 1 : 0) - (rest < 0 ? 1 : 0);
  }
};

/// Dimensions outermost first, with a stride in elements for each operand. All but the first have
/// more than one element.
template <int kOperands>
struct Walk {
  int32_t rank = 0;
  PositionDivisor size[kWalkRank];
  int64_t stride[kOperands][kWalkRank] = {};
};

template <int kOperands>
struct Offsets {
  int64_t at[kOperands];
  LINNET_HOST_DEVICE int64_t& operator[](int i) { return at[i]; }
  LINNET_HOST_DEVICE int64_t operator[](int i) const { return at[i]; }
};

template <int kOperands>
LINNET_HOST_DEVICE Offsets<kOperands> offsets(const Walk<kOperands>& walk, int64_t position) {
  Offsets<kOperands> result = {};
  for (int d = walk.rank - 1; d > 0; --d) {
    const int64_t outer = walk.size[d].quotient(position);
    const int64_t index = position - outer * walk.size[d].size;
    for (int i = 0; i < kOperands; ++i) result[i] += index * walk.stride[i][d];
    position = outer;
  }
  if (walk.rank > 0) {
    for (int i = 0; i < kOperands; ++i) result[i] += position * walk.stride[i][0];
  }
  return result;
}

}  // namespace linnet::cuda
