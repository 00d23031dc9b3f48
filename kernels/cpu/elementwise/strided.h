// Walking over several strided arrays of one shape in row-major order of that shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "linnet/small_vector.h"

namespace linnet::cpu {

/// A shape with as few dimensions as possible, and the strides of a number of arrays in it.
/// Dimensions of size one are gone, and neighbours that all arrays run through without a jump are
/// one.
class StridedSpace {
 public:
  /// `strides[k]` has one element per dimension of `shape`, in elements.
  StridedSpace(std::span<const int64_t> shape, std::span<const int64_t* const> strides);

  /// Number of dimensions; 0 for a single element.
  size_t rank() const { return sizes_.size(); }
  int64_t element_count() const { return count_; }
  int64_t size(size_t dimension) const { return sizes_[dimension]; }
  /// Size of the innermost dimension, 1 if there is none.
  int64_t inner_size() const { return sizes_.empty() ? 1 : sizes_.back(); }
  int64_t stride(size_t array, size_t dimension) const {
    return strides_[dimension * arrays_ + array];
  }
  int64_t inner_stride(size_t array) const {
    return sizes_.empty() ? 1 : stride(array, sizes_.size() - 1);
  }
  /// Whether the array is laid out in row-major order without gaps.
  bool is_dense(size_t array) const;
  /// Whether the array is one element, repeated.
  bool is_scalar(size_t array) const;

  /// Copies the elements [begin, begin + count) of an array into a dense one.
  void gather(size_t array, const void* from, size_t element_size, int64_t begin, int64_t count,
              void* to) const;
  /// Copies a dense array into the elements [begin, begin + count) of another.
  void scatter(size_t array, void* to, size_t element_size, int64_t begin, int64_t count,
               const void* from) const;

 private:
  friend class StridedCursor;

  size_t arrays_;
  int64_t count_;
  // No memory is needed for as many dimensions and arrays as single operations have.
  SmallVector<int64_t, 8> sizes_;
  SmallVector<int64_t, 32> strides_;  // [dimension][array]
};

/// A position in a StridedSpace that moves forward.
class StridedCursor {
 public:
  StridedCursor(const StridedSpace& space, int64_t position);

  /// Distance of the current element of an array from its first one, in elements.
  int64_t offset(size_t array) const;
  /// Elements left in the innermost dimension.
  int64_t left_in_row() const;
  /// Moves by at most left_in_row() elements.
  void advance(int64_t count);

 private:
  const StridedSpace& space_;
  SmallVector<int64_t, 8> index_;
};

/// Copies `count` elements that are `stride` elements apart into a dense array, or back.
void copy_from_strided(size_t element_size, const void* from, int64_t stride, void* to,
                       int64_t count);
void copy_to_strided(size_t element_size, const void* from, void* to, int64_t stride,
                     int64_t count);

}  // namespace linnet::cpu
