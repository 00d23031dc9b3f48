// Arithmetic of sizes that throws instead of wrapping. Every rule that computes a shape from sizes
// that users give does so in these terms.
//
//   const CheckedSize span = (CheckedSize("pool", window) - 1) * dilation + 1;
//   shape.push_back(span.value());
#pragma once

#include <cstdint>
#include <span>

namespace linnet {

/// No tensor, view or traced value has more elements, so that byte offsets fit 64 bits. Paddings,
/// dilations and strides stay below it, too.
inline constexpr int64_t kMostElements = int64_t{1} << 60;

namespace detail {
[[noreturn]] void fail_size_overflow(const char* operation);
}

/// A size on its way into a shape. @throws ShapeError naming the operation if a step overflows.
class CheckedSize {
 public:
  CheckedSize(const char* operation, int64_t value) : operation_(operation), value_(value) {}

  int64_t value() const { return value_; }

  CheckedSize operator+(int64_t other) const {
    CheckedSize out = *this;
    if (__builtin_add_overflow(value_, other, &out.value_)) detail::fail_size_overflow(operation_);
    return out;
  }
  CheckedSize operator-(int64_t other) const {
    CheckedSize out = *this;
    if (__builtin_sub_overflow(value_, other, &out.value_)) detail::fail_size_overflow(operation_);
    return out;
  }
  CheckedSize operator*(int64_t other) const {
    CheckedSize out = *this;
    if (__builtin_mul_overflow(value_, other, &out.value_)) detail::fail_size_overflow(operation_);
    return out;
  }

 private:
  const char* operation_;
  int64_t value_;
};

/// Elements of a tensor of this shape.
/// @throws ShapeError naming `operation` if a size is negative or there are more than
/// `kMostElements`, where sizes of 0 count as 1: strides must be addressable.
int64_t checked_element_count(const char* operation, std::span<const int64_t> shape);

/// @throws ShapeError unless every one of `values` lies within ±kMostElements.
void check_extents(const char* operation, const char* what, std::span<const int64_t> values);

/// Size of `size` elements with `dilation - 1` holes between neighbours.
inline CheckedSize dilated_size(const char* operation, int64_t size, int64_t dilation) {
  if (size == 0) return {operation, 0};
  return (CheckedSize(operation, size) - 1) * dilation + 1;
}

/// Number of positions, `stride` apart, of a window of `window` elements, `window_dilation` apart,
/// in `padded` elements: 0 if it fits nowhere.
inline int64_t window_positions(const char* operation, CheckedSize padded, int64_t window,
                                int64_t window_dilation, int64_t stride) {
  const CheckedSize span = dilated_size(operation, window, window_dilation);
  const int64_t room = (padded - span.value()).value();
  return room < 0 ? 0 : room / stride + 1;
}

}  // namespace linnet
