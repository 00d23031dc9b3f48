// Dimensions of operands that are walked together: merged where they are one dimension in all of
// them, and turned into the walk of a kernel.
//
//   Dimensions<2> lines = …;                    // sizes, strides in x and in y
//   std::optional<Walk<2>> walk = walk_of(merged(lines));
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"
#include "linnet/kernel.h"
#include "linnet/small_vector.h"

namespace linnet::cuda {

/// Of the kernel for a type in a list of instances: floats first, then the integers as DType is
/// ordered; bool is computed as u8.
inline size_t number_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kBF16:
      return 1;
    case DType::kF16:
      return 2;
    case DType::kF64:
      return 3;
    case DType::kBool:
      return number_of(DType::kU8);
    default:
      return 3 + static_cast<size_t>(dtype);
  }
}

template <size_t kOperands>
struct Dimension {
  int64_t size;
  std::array<int64_t, kOperands> stride;
};
template <size_t kOperands>
using Dimensions = SmallVector<Dimension<kOperands>, 6>;

template <size_t kOperands>
int64_t count_of(const Dimensions<kOperands>& dimensions) {
  int64_t count = 1;
  for (const auto& d : dimensions) count *= d.size;
  return count;
}

/// Neighbours that lie one behind the other in all operands become one dimension; dimensions of one
/// element go.
template <size_t kOperands>
Dimensions<kOperands> merged(const Dimensions<kOperands>& dimensions) {
  Dimensions<kOperands> result;
  for (const Dimension<kOperands>& d : dimensions) {
    if (d.size == 1) continue;
    bool extends = !result.empty();
    for (size_t i = 0; extends && i < kOperands; ++i)
      extends = result.back().stride[i] == d.size * d.stride[i];
    if (extends)
      result.back() = {result.back().size * d.size, d.stride};
    else
      result.push_back(d);
  }
  return result;
}

/// None if there are too many dimensions.
/// @param dimensions as `merged` gives them.
template <size_t kOperands>
std::optional<Walk<kOperands>> walk_of(const Dimensions<kOperands>& dimensions) {
  if (dimensions.size() > kWalkRank) return {};
  Walk<kOperands> walk;
  for (const Dimension<kOperands>& d : dimensions) {
    const int at = walk.rank++;
    if (d.size > 1) walk.size[at] = PositionDivisor(d.size);
    for (size_t i = 0; i < kOperands; ++i) walk.stride[i][at] = d.stride[i];
  }
  return walk;
}
inline constexpr const char* kTooManyDimensions = "more than 6 dimensions that cannot be merged";

/// Larger strides first; the order of equal ones stays.
template <size_t kOperands>
void sort_by_stride(Dimensions<kOperands>& dimensions, size_t operand) {
  const auto weight = [&](const Dimension<kOperands>& d) {
    const int64_t stride = d.stride[operand];
    // Repeated elements are in the cache anyway.
    return stride == 0 ? std::numeric_limits<int64_t>::max() : stride < 0 ? -stride : stride;
  };
  for (size_t i = 1; i < dimensions.size(); ++i) {
    for (size_t k = i; k > 0 && weight(dimensions[k - 1]) < weight(dimensions[k]); --k)
      std::swap(dimensions[k - 1], dimensions[k]);
  }
}

/// Whether every stride in one operand, but that of the innermost dimension, is a multiple of
/// `width`, so that packs of as many elements stay aligned.
template <size_t kOperands>
bool keeps_packs(const Dimensions<kOperands>& dimensions, size_t operand, int64_t width,
                 bool with_innermost) {
  const size_t end = dimensions.size() - (with_innermost || dimensions.empty() ? 0 : 1);
  for (size_t i = 0; i < end; ++i) {
    if (dimensions[i].stride[operand] % width != 0) return false;
  }
  return true;
}

static_assert(static_cast<int>(ElementType::kBool) == static_cast<int>(DType::kBool));
static_assert(static_cast<int>(ElementType::kF64) == static_cast<int>(DType::kF64));
inline ElementType element_type(DType dtype) { return static_cast<ElementType>(dtype); }

}  // namespace linnet::cuda
