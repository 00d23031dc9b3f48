#include "linnet/io/host_array.h"

#include <cstring>
#include <new>

#include "linnet/error.h"

namespace linnet {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

std::optional<int64_t> checked_byte_size(std::span<const int64_t> shape, size_t element_bytes) {
  int64_t nonzero_product = static_cast<int64_t>(element_bytes);
  bool is_empty = false;
  for (int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      is_empty = true;
    } else if (__builtin_mul_overflow(nonzero_product, size, &nonzero_product)) {
      return std::nullopt;
    }
  }
  return is_empty ? 0 : nonzero_product;
}

void HostArray::require_dtype(DType expected) const {
  if (dtype == expected) return;
  throw DTypeError("values: the array is " + type_string(dtype, shape) +
                   ", asked for elements of " + std::string(name_of(expected)));
}

WritableHostArray allocate_host_array(DType dtype, const Shape& shape) {
  const std::optional<int64_t> bytes = checked_byte_size(shape, size_of(dtype));
  if (!bytes) {
    throw ShapeError("host array: " + type_string(dtype, shape) +
                     " has a negative dimension or needs more than 2^63 - 1 bytes");
  }
  // An empty array still gets a valid, aligned address.
  const size_t room = *bytes == 0 ? 1 : static_cast<size_t>(*bytes);
  auto* data = static_cast<std::byte*>(::operator new(room, kAlignment));
  std::shared_ptr<const void> owner(data,
                                    [](void* block) { ::operator delete(block, kAlignment); });
  return {HostArray{dtype, shape, data, std::move(owner)}, data};
}

HostArray copy_host_array(DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  const std::optional<int64_t> expected = checked_byte_size(shape, size_of(dtype));
  if (!expected || static_cast<size_t>(*expected) != bytes.size()) {
    throw ShapeError("host array: " + type_string(dtype, shape) + " does not fit " +
                     std::to_string(bytes.size()) + " bytes of values");
  }
  WritableHostArray fresh = allocate_host_array(dtype, shape);
  if (!bytes.empty()) std::memcpy(fresh.data, bytes.data(), bytes.size());
  return std::move(fresh.array);
}

}  // namespace linnet
