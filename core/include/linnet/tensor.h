// Tensor: an immutable, reference-counted handle to an n-dimensional array, or to a traced value.
//
//   Tensor x = tensor({1.f, 2.f, 3.f});        // f32[3]
//   Tensor y = x * 2 + 1;                      // literals are weak scalars: still f32[3]
//   std::vector<float> host = y.to_vector<float>();
//   std::string text = to_string(y);           // "Tensor([3, 5, 7], f32[3])"
//
// Tensors may be shared freely between threads; operations never change one in place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "linnet/device.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet {

class TensorImpl;

/// What is known of a tensor without its values. A weak type came from a C++ literal and gives way
/// in promotion (J-002).
struct TensorType {
  DType dtype = DType::kF32;
  Shape shape;
  bool weak = false;
  Device device = kCpu;
  bool operator==(const TensorType&) const = default;
};

/// `f32[32,784]`, with a `~` in front if weak.
std::string to_string(const TensorType& type);

class Tensor {
 public:
  /// An undefined tensor: holds no type and no value; any use but `defined()` and assignment
  /// throws.
  Tensor() = default;
  /// A weakly typed zero-dimensional tensor: bool, i32 (i64/u32/u64 if the value needs it) or f32.
  template <class T>
    requires std::is_arithmetic_v<T>
  Tensor(T value) : Tensor(make_weak(value)) {}  // NOLINT(runtime/explicit)
  explicit Tensor(TensorImpl* adopted) : impl_(adopted) {}

  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  bool defined() const { return impl_ != nullptr; }
  DType dtype() const;
  const Shape& shape() const;
  /// Size of one dimension; negative axes count from the end.
  int64_t shape(int64_t axis) const;
  size_t rank() const { return shape().size(); }
  /// Number of elements.
  int64_t size() const { return element_count(shape()); }
  bool weak() const;
  Device device() const;
  TensorType type() const;

  /// True if this stands for a value inside a transformation that has no concrete number yet or
  /// carries derivative or batch information.
  bool traced() const;

  /// The single element, converted to T.
  /// @throws ShapeError if there is not exactly one element, TraceError if the value is traced.
  template <class T>
  T item() const;
  /// All elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;
  /// Row-major elements of a dense host tensor. T must be the element type.
  /// @throws DTypeError, DeviceError, or TraceError; a strided view throws ShapeError (see
  /// `contiguous`).
  template <class T>
  std::span<const T> data() const;
  /// Itself if dense in row-major order, otherwise a dense copy.
  Tensor contiguous() const;
  bool is_contiguous() const;
  const Strides& strides() const;

  TensorImpl* impl() const { return impl_; }
  /// Gives up the handle without lowering the reference count.
  TensorImpl* release() {
    TensorImpl* out = impl_;
    impl_ = nullptr;
    return out;
  }

  Tensor astype(DType dtype) const;
  /// The same values on a device: itself if it is there, otherwise a copy. Differentiable.
  Tensor to(Device device) const;
  Tensor reshape(const Shape& shape) const;
  /// Reverses the dimensions.
  Tensor transpose() const;
  Tensor transpose(const Axes& permutation) const;
  /// Element or sub-tensor along the first axis; negative wraps once, out of range throws
  /// ShapeError.
  Tensor operator[](int64_t index) const;

 private:
  template <class T>
  static Tensor make_weak(T value) {
    if constexpr (std::is_same_v<T, bool>)
      return weak_bool(value);
    else if constexpr (std::is_floating_point_v<T>)
      return weak_float(static_cast<double>(value));
    else if constexpr (std::is_unsigned_v<T>)
      return weak_unsigned(value);
    else
      return weak_integer(value);
  }
  static Tensor weak_bool(bool value);
  static Tensor weak_float(double value);
  static Tensor weak_integer(int64_t value);
  static Tensor weak_unsigned(uint64_t value);

  TensorImpl* impl_ = nullptr;
};

using TensorList = std::vector<Tensor>;

/// Copies host elements into a new dense tensor.
/// @throws ShapeError if the count differs from the shape's.
template <class T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device = default_device());
/// Copies `element_count(shape) * size_of(dtype)` raw bytes from the host.
Tensor from_bytes(const void* bytes, DType dtype, const Shape& shape,
                  Device device = default_device());
/// A tensor over host memory that somebody else owns; `owner` is kept alive as long as it is
/// needed. The bytes must not change and be aligned to the element size.
Tensor from_external(const void* bytes, DType dtype, const Shape& shape,
                     std::shared_ptr<const void> owner);

template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape) {
  return from_span(std::span<const T>(values), shape);
}
/// One-dimensional tensor of the listed values.
template <class T>
Tensor tensor(std::initializer_list<T> values) {
  return from_span(std::span<const T>(values.begin(), values.size()),
                   {static_cast<int64_t>(values.size())});
}
namespace detail {
[[noreturn]] void fail_ragged(size_t row, size_t expected, size_t got);
}
/// Two-dimensional tensor of the listed rows.
/// @throws ShapeError if they differ in length.
template <class T>
Tensor tensor(std::initializer_list<std::initializer_list<T>> rows) {
  std::vector<T> values;
  const size_t width = rows.size() ? rows.begin()->size() : 0;
  size_t count = 0;
  for (const auto& row : rows) {
    if (row.size() != width) detail::fail_ragged(count, width, row.size());
    values.insert(values.end(), row.begin(), row.end());
    ++count;
  }
  return from_span(std::span<const T>(values),
                   {static_cast<int64_t>(count), static_cast<int64_t>(width)});
}
/// A strongly typed zero-dimensional tensor.
Tensor scalar(double value, DType dtype);
Tensor scalar_integer(int64_t value, DType dtype);

/// A type without a value; only shape functions and `eval_shape` accept it.
Tensor abstract(const TensorType& type);

/// NumPy-style rendering with type; large tensors are summarised. Traced values print their type.
std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& stream, const Tensor& tensor);

/// The fields of DLPack's DLTensor for a concrete tensor (element type codes and lanes as there).
struct DlpackView {
  const void* data;
  int32_t device_type, device_id;
  uint8_t type_code, type_bits;
  uint16_t lanes;
  std::span<const int64_t> shape, strides;
  uint64_t byte_offset;
};
/// @throws TraceError for traced tensors. The view lives as long as the tensor.
DlpackView dlpack_view(const Tensor& tensor);

}  // namespace linnet
