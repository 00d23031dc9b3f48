// Copies whose source runs through memory across the rows of the destination.
//
//   // out [300, 200] = in [200, 300] transposed
//   copy_transposed(4, Shape{300, 200}, in, Strides{1, 300}, out, Strides{200, 1});
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace linnet::cpu {

/// to[i...] = from[i...] over `shape`, if there is a dimension along which the source is dense and
/// another one along which the destination is, both long enough for blocks of a matrix to be turned
/// over in registers. Otherwise copies nothing and returns false. Strides are in elements of
/// `element_size` bytes (1, 2, 4 or 8); regions must not overlap.
bool copy_transposed(size_t element_size, std::span<const int64_t> shape, const void* from,
                     std::span<const int64_t> from_strides, void* to,
                     std::span<const int64_t> to_strides);

}  // namespace linnet::cpu
