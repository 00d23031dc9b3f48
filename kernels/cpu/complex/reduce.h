// Products of complex numbers along axes. Sums are sums of parts.
#pragma once

#include <cstdint>
#include <span>

#include "linnet/dtype.h"

namespace linnet::cpu {

/// Multiplies along the axes whose bit is set in `axes_mask` and writes the dense result; the
/// product of nothing is 1. Elements are taken in row-major order, and c64 is computed in c128.
void complex_product(DType dtype, const void* data, std::span<const int64_t> shape,
                     std::span<const int64_t> strides, uint64_t axes_mask, void* out);

/// The products of all elements up to each one along `axis`, or from it on; dense. c64 is computed
/// in c128.
void complex_cumulative_product(DType dtype, const void* data, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, int64_t axis, bool reverse,
                                void* out);

}  // namespace linnet::cpu
