// A dense row-major array in host memory, as it comes out of a file or goes into one.
//
//   HostArray a = host_array<float>({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
//   std::span<const float> values = a.values<float>();
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "linnet/dtype.h"
#include "linnet/shape.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Dense row-major values in native byte order. Copies share the storage, which may be a block of
/// memory or a mapped file; `owner` keeps it alive. The values are never written through this type.
struct HostArray {
  DType dtype = DType::kF32;
  Shape shape{0};
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;

  /// Number of elements.
  int64_t size() const { return element_count(shape); }
  size_t byte_size() const { return static_cast<size_t>(size()) * size_of(dtype); }
  std::span<const std::byte> bytes() const { return {data, byte_size()}; }

  /// The elements in row-major order.
  /// @throws DTypeError if `T` is not the element type.
  template <class T>
  std::span<const T> values() const {
    require_dtype(dtype_of<T>());
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(size())};
  }

 private:
  void require_dtype(DType expected) const;
};

/// A fresh array together with the pointer through which its maker fills it.
struct WritableHostArray {
  HostArray array;
  std::byte* data = nullptr;
};

/// Uninitialised storage for `shape`, aligned to 64 bytes.
/// @throws ShapeError if a dimension is negative or the number of bytes does not fit 63 bits.
WritableHostArray allocate_host_array(DType dtype, const Shape& shape);

/// Copies `bytes` (row-major, native byte order) into fresh storage.
/// @throws ShapeError if the number of bytes differs from what dtype and shape need.
HostArray copy_host_array(DType dtype, const Shape& shape, std::span<const std::byte> bytes);

/// Bytes of a dense array, or nothing if a dimension is negative or the product of the non-zero
/// dimensions and the element size exceeds 2^63 - 1 (so that strides of an accepted shape never
/// overflow, even if another dimension is zero).
std::optional<int64_t> checked_byte_size(std::span<const int64_t> shape, size_t element_bytes);

/// Copies `values` into an array of the given shape.
/// @throws ShapeError if the counts differ.
template <class T>
HostArray host_array(const Shape& shape, std::span<const T> values) {
  return copy_host_array(dtype_of<T>(), shape, std::as_bytes(values));
}
template <class T>
HostArray host_array(const Shape& shape, const std::vector<T>& values) {
  return host_array<T>(shape, std::span<const T>(values));
}

}  // namespace linnet

#pragma GCC visibility pop
