#include "linnet/shape.h"

#include "core/tensor/checked_size.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {

void fill_dense_strides(std::span<const int64_t> shape, std::span<int64_t> strides) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    // Wraps around for shapes of more elements than there can be, which are refused where their
    // memory is asked for.
    step = static_cast<int64_t>(static_cast<uint64_t>(step) *
                                static_cast<uint64_t>(std::max<int64_t>(shape[i], 1)));
  }
}

Strides dense_strides(std::span<const int64_t> shape) {
  Strides strides(shape.size());
  fill_dense_strides(shape, {strides.data(), strides.size()});
  return strides;
}

void detail::fail_size_overflow(const char* operation) {
  fail<ShapeError>("{}: the sizes of the result do not fit 64 bits", operation);
}

int64_t checked_element_count(const char* operation, std::span<const int64_t> shape) {
  int64_t count = 1;
  bool empty = false, too_many = false;
  for (int64_t size : shape) {
    if (size < 0) fail<ShapeError>("{}: negative size in shape {}", operation, to_string(shape));
    empty |= size == 0;
    too_many |= __builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count);
  }
  if (too_many || count > kMostElements) {
    fail<ShapeError>("{}: a tensor of shape {} has more elements than can be addressed", operation,
                     to_string(shape));
  }
  return empty ? 0 : count;
}

void check_extents(const char* operation, const char* what, std::span<const int64_t> values) {
  for (int64_t value : values) {
    if (value < -kMostElements || value > kMostElements)
      fail<ShapeError>("{}: {} {} are out of range", operation, what, to_string(values));
  }
}

bool is_dense(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

std::string to_string(std::span<const int64_t> values) {
  return fmt::format("[{}]", fmt::join(values, ","));
}

std::string type_string(DType dtype, std::span<const int64_t> shape) {
  return std::string(name_of(dtype)) + to_string(shape);
}

int64_t normalize_axis(int64_t axis, size_t rank, const char* operation) {
  const int64_t n = static_cast<int64_t>(rank);
  if (axis < -n || axis >= n) {
    if (n == 0)
      fail<ShapeError>("{}: axis {} is out of range for a tensor without dimensions", operation,
                       axis);
    fail<ShapeError>("{}: axis {} is out of range for a tensor of rank {}; expected {} to {}",
                     operation, axis, n, -n, n - 1);
  }
  return axis < 0 ? axis + n : axis;
}

Axes normalize_axes(const Axes& axes, size_t rank, const char* operation) {
  Axes out;
  for (int64_t axis : axes) {
    const int64_t normal = normalize_axis(axis, rank, operation);
    if (std::find(out.begin(), out.end(), normal) != out.end()) {
      fail<ShapeError>("{}: axis {} is given twice in {}", operation, axis, to_string(axes));
    }
    out.push_back(normal);
  }
  return out;
}

}  // namespace linnet
