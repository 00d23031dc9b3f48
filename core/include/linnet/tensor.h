// Tensor: an immutable, reference-counted handle to an n-dimensional array, or to a traced value.
//
//   Tensor x = tensor({1.f, 2.f, 3.f});        // f32[3]
//   Tensor m = tensor({{1.f, 2.f}, {3.f, 4.f}});  // f32[2,2]; m.sum(0), m.T(), m[{0, 1}]
//   Tensor y = x * 2 + 1;                      // literals are weak scalars: still f32[3]
//   std::vector<float> host = y.to_vector<float>();
//   std::string text = to_string(y);           // "Tensor([3, 5, 7], f32[3])"
//   Tensor column = m[{Slice(), 1}];           // m[:, 1]; m[Slice(0, -1)] is m[0:-1]
//   for (const Tensor& row : m) ...            // m[0], m[1]
//
// Tensors may be shared freely between threads; operations never change one in place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "linnet/device.h"
#include "linnet/dtype.h"
#include "linnet/shape.h"

#pragma GCC visibility push(default)

namespace linnet {

class TensorImpl;

/// A whole number that may stand for a size or an axis. A truth value may not.
template <class T>
concept WholeNumber = std::is_integral_v<T> && !std::is_same_v<T, bool>;

/// The axes of a reduction: one, several, or all of them.
///
///   sum(x); sum(x, 0); sum(x, {0, -1}); sum(x, {}, /*keepdims=*/true);
class ReductionAxes {
 public:
  /// All axes.
  ReductionAxes() = default;
  ReductionAxes(std::nullopt_t) {}  // NOLINT(runtime/explicit)
  template <WholeNumber T>
  ReductionAxes(T axis) : axes_(Axes{static_cast<int64_t>(axis)}) {}         // NOLINT
  ReductionAxes(std::initializer_list<int64_t> axes) : axes_(Axes(axes)) {}  // NOLINT
  ReductionAxes(const Axes& axes) : axes_(axes) {}                           // NOLINT
  ReductionAxes(const std::optional<Axes>& axes) : axes_(axes) {}            // NOLINT

  /// None for all.
  const std::optional<Axes>& list() const { return axes_; }

 private:
  std::optional<Axes> axes_;
};

namespace detail {
/// The element type of a C++ number; `char` is the integer of its size and sign.
template <class T>
constexpr DType element_dtype() {
  if constexpr (std::is_same_v<T, char>)
    return std::is_signed_v<char> ? DType::kI8 : DType::kU8;
  else
    return dtype_of<T>();
}
}  // namespace detail

std::ostream& operator<<(std::ostream& stream, const Shape& shape);
std::ostream& operator<<(std::ostream& stream, DType dtype);

/// What is known of a tensor without its values. A weak type came from a C++ literal and gives way
/// in promotion (J-002).
struct TensorType {
  DType dtype = DType::kF32;
  Shape shape;
  bool weak = false;
  Device device = default_device();
  bool operator==(const TensorType&) const = default;
};

/// `f32[32,784]`, with a `~` in front if weak.
std::string to_string(const TensorType& type);
std::ostream& operator<<(std::ostream& stream, const TensorType& type);
std::ostream& operator<<(std::ostream& stream, Device device);

/// A range of an axis as in NumPy: `Slice()` is all of it, `Slice(a, b, s)` is a:b:s. Negative
/// bounds count from the end, those beyond an end are clamped, and steps may be negative.
struct Slice {
  Slice() = default;
  Slice(std::optional<int64_t> start, std::optional<int64_t> stop, int64_t step = 1)
      : start(start), stop(stop), step(step) {}
  std::optional<int64_t> start, stop;
  int64_t step = 1;
};

/// Beside indices and slices: an axis of size 1, and all axes that nothing is said about.
enum class IndexMark : uint8_t { kNewAxis, kEllipsis };
inline constexpr IndexMark kNewAxis = IndexMark::kNewAxis, kEllipsis = IndexMark::kEllipsis;

/// One entry of `x[{…}]`.
struct Index {
  template <WholeNumber T>
  Index(T index) : range(static_cast<int64_t>(index), {}), single(true) {}  // NOLINT
  Index(const Slice& range) : range(range) {}                               // NOLINT
  Index(IndexMark mark) : mark(mark) {}                                     // NOLINT
  Slice range;  ///< begins at the index, if `single`
  bool single = false;
  std::optional<IndexMark> mark = {};
};

/// Walks over x[0], x[1], …
template <class T>
class ElementIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = T;
  using difference_type = int64_t;
  using pointer = void;
  using reference = T;
  ElementIterator(T of, int64_t at) : of_(std::move(of)), at_(at) {}
  T operator*() const { return of_[at_]; }
  ElementIterator& operator++() {
    ++at_;
    return *this;
  }
  ElementIterator operator++(int) {
    ElementIterator before = *this;
    ++at_;
    return before;
  }
  bool operator==(const ElementIterator& other) const { return at_ == other.at_; }

 private:
  T of_;
  int64_t at_;
};

class Tensor {
 public:
  /// An undefined tensor: holds no type and no value; any use but `defined()` and assignment
  /// throws.
  Tensor() = default;
  /// A weakly typed zero-dimensional tensor: bool, i32 (i64/u32/u64 if the value needs it) or f32.
  template <class T>
    requires std::is_arithmetic_v<T>
  Tensor(T value) : Tensor(make_weak(value)) {}  // NOLINT(runtime/explicit)
  /// A weakly typed c64 scalar of a `std::complex`.
  template <ComplexNumber T>
  Tensor(T value)  // NOLINT(runtime/explicit)
      : Tensor(weak_complex(static_cast<double>(value.real()), static_cast<double>(value.imag()))) {
  }
  explicit Tensor(TensorImpl* adopted) : impl_(adopted) {}

  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
  /// Only to a name: `x[0] = 5` would change a temporary, and does not compile. `index_set` makes a
  /// tensor with an element exchanged.
  Tensor& operator=(const Tensor& other) &;
  Tensor& operator=(Tensor&& other) & noexcept;
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
  /// @throws DTypeError if it is complex and T is neither complex nor bool, ShapeError if there is
  /// not exactly one element, TraceError if the value is traced.
  template <class T>
  T item() const {
    T value;
    copy_elements(&value, detail::element_dtype<T>(), "item");
    return value;
  }
  /// All elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;
  /// Row-major elements of a dense host tensor. T must be the element type.
  /// @throws DTypeError, DeviceError, or TraceError; a strided view throws ShapeError (see
  /// `contiguous`).
  template <class T>
  std::span<const T> data() const {
    return {static_cast<const T*>(checked_data(detail::element_dtype<T>())),
            static_cast<size_t>(size())};
  }
  /// Itself if dense in row-major order, otherwise a dense copy; traced if this is.
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

  // What is used most, as members; all of ops.h takes tensors as arguments.
  Tensor astype(DType dtype) const;
  /// The same values on a device: itself if it is there, otherwise a copy. Differentiable.
  Tensor to(Device device) const;
  Tensor reshape(const Shape& shape) const;
  /// `x.reshape(3, -1)`.
  template <WholeNumber... Size>
    requires(sizeof...(Size) > 0)
  Tensor reshape(Size... sizes) const {
    return reshape(Shape{static_cast<int64_t>(sizes)...});
  }
  /// Reverses the dimensions.
  Tensor transpose() const;
  Tensor transpose(const Axes& permutation) const;
  Tensor T() const { return transpose(); }
  /// Element or sub-tensor along the first axis; negative wraps once, out of range throws
  /// ShapeError.
  Tensor operator[](int64_t index) const;
  /// The same along as many axes as there are indices: `x[{1, 2}]`.
  Tensor operator[](std::initializer_list<int64_t> indices) const;
  /// `x[Slice(0, -1)]`, a range of the first axis.
  Tensor operator[](const Slice& range) const { return indexed({Index(range)}); }
  /// `x[{Slice(), 0}]`, `x[{kEllipsis, Slice({}, {}, -1)}]`, `x[{kNewAxis, 2}]`, as in NumPy.
  template <size_t N>
  Tensor operator[](const Index (&places)[N]) const {
    return indexed(std::vector<Index>(places, places + N));
  }
  /// `for (const Tensor& row : x)`: along the first axis.
  /// @throws ShapeError if there is none.
  ElementIterator<Tensor> begin() const;
  ElementIterator<Tensor> end() const;

  Tensor sum(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor mean(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor prod(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor max(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor min(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor any(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor all(const ReductionAxes& axes = {}, bool keepdims = false) const;
  Tensor argmax(std::optional<int64_t> axis = {}, bool keepdims = false) const;
  Tensor argmin(std::optional<int64_t> axis = {}, bool keepdims = false) const;

  // The name stands for another tensor afterwards, whose type follows the rules of promotion;
  // other handles keep the old one.
  Tensor& operator+=(const Tensor& other) &;
  Tensor& operator-=(const Tensor& other) &;
  Tensor& operator*=(const Tensor& other) &;
  Tensor& operator/=(const Tensor& other) &;

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
  static Tensor weak_complex(double real, double imaginary);
  static Tensor weak_integer(int64_t value);
  static Tensor weak_unsigned(uint64_t value);

  /// Writes the elements, converted, to `to`; `operation` begins the text of errors and, if it is
  /// "item", means that there must be one.
  void copy_elements(void* to, DType dtype, const char* operation) const;
  const void* checked_data(DType dtype) const;
  Tensor indexed(const std::vector<Index>& places) const;

  TensorImpl* impl_ = nullptr;
};

inline ElementIterator<Tensor> Tensor::begin() const { return {*this, 0}; }

using TensorList = std::vector<Tensor>;

template <class T>
std::vector<T> Tensor::to_vector() const {
  std::vector<T> out(static_cast<size_t>(size()));
  copy_elements(out.data(), detail::element_dtype<T>(), "to_vector");
  return out;
}
template <>
std::vector<bool> Tensor::to_vector<bool>() const;

namespace detail {
Tensor from_elements(const void* values, size_t count, DType dtype, const Shape& shape,
                     Device device);
[[noreturn]] void fail_ragged(size_t row, size_t expected, size_t got);
}  // namespace detail

/// Copies host elements into a new dense tensor.
/// @throws ShapeError if the count differs from the shape's.
template <class T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device = default_device()) {
  return detail::from_elements(values.data(), values.size(), detail::element_dtype<T>(), shape,
                               device);
}
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
Tensor from_vector(const std::vector<bool>& values, const Shape& shape);

namespace detail {

/// A number of any C++ type, so that a list may hold several.
struct Number {
  template <class T>
    requires std::is_arithmetic_v<T>
  Number(T value)  // NOLINT(runtime/explicit)
      : dtype(detail::element_dtype<T>()),
        real(static_cast<double>(value)),
        bits(std::is_floating_point_v<T> ? 0 : static_cast<uint64_t>(value)) {}
  DType dtype;
  double real;
  uint64_t bits;
};
/// In the type that the usual arithmetic conversions give all of them.
Tensor from_numbers(const std::vector<Number>& values, const Shape& shape);

template <class T>
Tensor make_from(const std::vector<T>& values, const Shape& shape) {
  if constexpr (std::is_same_v<T, Number>)
    return from_numbers(values, shape);
  else
    return from_vector(values, shape);
}

/// Appends the elements of lists within lists and notes how long the lists are.
/// @throws ShapeError if two of one depth differ.
template <class T, class List>
void append(const List& list, size_t row, size_t depth, std::vector<T>& values, Shape& shape) {
  const int64_t length = static_cast<int64_t>(list.size());
  if (shape.size() == depth) shape.push_back(length);
  if (shape[depth] != length) fail_ragged(row, static_cast<size_t>(shape[depth]), list.size());
  size_t next = 0;
  for (const auto& entry : list) {
    if constexpr (std::is_convertible_v<decltype(entry), T>)
      values.push_back(entry);
    else
      append(entry, next++, depth + 1, values, shape);
  }
}
template <class T, class List>
Tensor from_lists(const List& list, size_t rank) {
  std::vector<T> values;
  Shape shape;
  append(list, 0, 0, values, shape);
  while (shape.size() < rank) shape.push_back(0);
  return make_from(values, shape);
}

template <class T>
using List = std::initializer_list<T>;

}  // namespace detail

/// A tensor of the listed values, of one to three dimensions: `tensor({1.f, 2.f})`,
/// `tensor({{1, 2}, {3, 4}})`. Values of several C++ types have the type of their sum.
/// @throws ShapeError if rows differ in length.
template <class T>
Tensor tensor(std::initializer_list<T> values) {
  return detail::from_lists<T>(values, 1);
}
template <class T>
Tensor tensor(std::initializer_list<std::initializer_list<T>> rows) {
  return detail::from_lists<T>(rows, 2);
}
template <class T>
Tensor tensor(std::initializer_list<std::initializer_list<std::initializer_list<T>>> blocks) {
  return detail::from_lists<T>(blocks, 3);
}
inline Tensor tensor(detail::List<detail::Number> values) {
  return detail::from_lists<detail::Number>(values, 1);
}
inline Tensor tensor(detail::List<detail::List<detail::Number>> rows) {
  return detail::from_lists<detail::Number>(rows, 2);
}
inline Tensor tensor(detail::List<detail::List<detail::List<detail::Number>>> blocks) {
  return detail::from_lists<detail::Number>(blocks, 3);
}
/// One-dimensional, or two-dimensional of rows.
template <class T>
Tensor tensor(const std::vector<T>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
template <class T>
Tensor tensor(const std::vector<std::vector<T>>& rows) {
  return detail::from_lists<T>(rows, 2);
}
/// A strongly typed zero-dimensional tensor.
Tensor scalar(double value, DType dtype);
Tensor scalar_integer(int64_t value, DType dtype);

/// A type without a value; only shape functions and `eval_shape` accept it.
Tensor abstract(const TensorType& type);

/// NumPy-style rendering with type; large tensors are summarised. Traced values print their type.
std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& stream, const Tensor& tensor);
/// `nullopt` if there is none.
std::ostream& operator<<(std::ostream& stream, const std::optional<Tensor>& tensor);

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

#pragma GCC visibility pop
