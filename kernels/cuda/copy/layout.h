// Index spaces (device/index_space_args.h) from collapsed shapes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/cpu/elementwise/strided.h"
#include "kernels/cuda/device/index_space_args.h"

namespace linnet::cuda {

/// @param value from 1 to 2^31 - 1.
Divisor divisor_of(int64_t value);

/// The greatest power of two up to 16 that divides all of these.
size_t common_alignment(std::initializer_list<int64_t> numbers);

/// Sizes of dimensions, and for each the operands' strides in bytes.
template <int kOperands>
struct ByteWalk {
  std::vector<int64_t> sizes;
  std::vector<std::array<int64_t, kOperands>> strides;

  int64_t count() const {
    int64_t product = 1;
    for (const int64_t size : sizes) product *= size;
    return product;
  }
};

/// The first kOperands arrays of a space, with elements of `bytes`.
template <int kOperands>
ByteWalk<kOperands> walk_of(const cpu::StridedSpace& space,
                            const std::array<int64_t, kOperands>& bytes) {
  ByteWalk<kOperands> walk;
  for (size_t d = 0; d < space.rank(); ++d) {
    walk.sizes.push_back(space.size(d));
    walk.strides.emplace_back();
    for (size_t k = 0; k < kOperands; ++k) walk.strides.back()[k] = space.stride(k, d) * bytes[k];
  }
  return walk;
}

/// What one launch walks through: fewer than 2^31 positions from `first` on, with the operands'
/// elements there `offsets` bytes from their beginning.
template <int kOperands>
struct WalkPart {
  IndexSpace<kOperands> space;
  int64_t first = 0;
  std::array<int64_t, kOperands> offsets{};
};

/// The parts of a walk. It must have at most kMostDimensions.
template <int kOperands>
std::vector<WalkPart<kOperands>> parts_of(const ByteWalk<kOperands>& walk) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  std::vector<WalkPart<kOperands>> parts;
  int64_t inner = 1;  // positions in one step of the outermost dimension that has to be split
  size_t split = walk.sizes.size();
  while (split > 0 && inner * walk.sizes[split - 1] <= kMost) inner *= walk.sizes[--split];
  const size_t outer = split == 0 ? 0 : split - 1;  // dimensions that are walked by launches
  const int64_t length = split == 0 ? 1 : walk.sizes[outer];
  const int64_t step = split == 0 ? 1 : kMost / inner;
  const int64_t total = walk.count();
  for (int64_t first = 0; first < total;) {
    WalkPart<kOperands> part;
    part.first = first;
    int64_t index = first / inner;
    const int64_t at = split == 0 ? 0 : index % length, taken = std::min(step, length - at);
    for (size_t d = split; d-- > 0; index /= walk.sizes[d]) {
      for (size_t k = 0; k < kOperands; ++k)
        part.offsets[k] += index % walk.sizes[d] * walk.strides[d][k];
    }
    part.space.rank = static_cast<int>(std::max<size_t>(walk.sizes.size() - outer, 1));
    part.space.count = static_cast<unsigned>(taken * inner);
    for (size_t d = outer; d < walk.sizes.size(); ++d) {
      part.space.sizes[d - outer] = divisor_of(split != 0 && d == outer ? taken : walk.sizes[d]);
      for (size_t k = 0; k < kOperands; ++k) part.space.strides[d - outer][k] = walk.strides[d][k];
    }
    parts.push_back(part);
    first += taken * inner;
  }
  return parts;
}

}  // namespace linnet::cuda
