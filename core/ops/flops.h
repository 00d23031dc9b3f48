// Private: additions and multiplications of products and convolutions.
#pragma once

#include "core/ops/conv.h"
#include "core/ops/dot.h"

namespace linnet {

/// Of a contraction of `lhs` with result `out`: two for each pair of elements that meets.
inline double dot_flops(const DotParams& p, const Shape& lhs, const Shape& out) {
  double contracted = 1;
  for (const int64_t axis : p.lhs_contract)
    contracted *= static_cast<double>(lhs[static_cast<size_t>(axis)]);
  return 2 * static_cast<double>(element_count(out)) * contracted;
}

/// Of the trilinear form of convolutions: each element of `y` takes as many products as a filter
/// has elements.
inline double conv_flops(const Shape& y, const Shape& w) {
  if (w.empty() || w.back() == 0) return 0;
  return 2 * static_cast<double>(element_count(y)) * static_cast<double>(element_count(w)) /
         static_cast<double>(w.back());
}

}  // namespace linnet
