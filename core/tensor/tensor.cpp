#include "linnet/tensor.h"

#include <cstring>

#include "core/memory/free_blocks.h"
#include "core/memory/limit.h"
#include "core/memory/owners.h"
#include "core/tensor/checked_size.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {

void* Buffer::operator new(size_t) { return ObjectPool<Buffer>::take(); }
void Buffer::operator delete(void* block) noexcept { ObjectPool<Buffer>::give(block); }
void* TensorImpl::operator new(size_t) { return ObjectPool<TensorImpl>::take(); }
void TensorImpl::operator delete(void* block) noexcept { ObjectPool<TensorImpl>::give(block); }

Buffer* Buffer::allocate(size_t bytes, Device device) {
  Allocator& allocator = allocator_of(device);
  struct Delete {
    void operator()(Buffer* unused) const { delete unused; }
  };
  std::unique_ptr<Buffer, Delete> buffer(new Buffer);
  buffer->data_ = static_cast<std::byte*>(allocate_within_limit(allocator, device, bytes));
  buffer->allocator_ = &allocator;
  buffer->bytes_ = bytes;
  if (bytes >= owned_bytes.load(std::memory_order_relaxed)) note_owner(buffer.get(), device, bytes);
  return buffer.release();
}

Buffer* Buffer::wrap(void* data, size_t bytes, std::shared_ptr<const void> owner) {
  Buffer* buffer = new Buffer;
  buffer->data_ = static_cast<std::byte*>(data);
  buffer->bytes_ = bytes;
  buffer->owner_ = std::move(owner);
  return buffer;
}

void Buffer::destroy() {
  if (allocator_) {
    if (bytes_ >= least_owned_bytes.load(std::memory_order_relaxed)) forget_owner(this);
    allocator_->deallocate(data_, bytes_);
  }
  delete this;
}

Tensor::Tensor(const Tensor& other) : impl_(other.impl_) {
  if (impl_) impl_->retain();
}
Tensor& Tensor::operator=(const Tensor& other) & {
  if (other.impl_) other.impl_->retain();
  if (impl_) impl_->release();
  impl_ = other.impl_;
  return *this;
}
Tensor& Tensor::operator=(Tensor&& other) & noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
Tensor::~Tensor() {
  if (impl_) impl_->release();
}

namespace {

const TensorImpl& checked(const TensorImpl* impl) {
  if (!impl)
    fail<ValueError>(
        "an undefined tensor was used\n  hint: a default-constructed Tensor holds nothing yet");
  return *impl;
}

Tensor weak_scalar(DType dtype, const void* value) {
  TensorImpl* impl = new TensorImpl;
  impl->dtype = dtype;
  impl->weak = true;
  impl->data = impl->inline_value;
  std::memcpy(impl->inline_value, value, size_of(dtype));
  return Tensor(impl);
}

}  // namespace

DType Tensor::dtype() const { return checked(impl_).dtype; }
const Shape& Tensor::shape() const { return checked(impl_).shape; }
int64_t Tensor::shape(int64_t axis) const {
  const Shape& s = shape();
  return s[normalize_axis(axis, s.size(), "shape")];
}
bool Tensor::weak() const { return checked(impl_).weak; }
Device Tensor::device() const { return checked(impl_).device; }
TensorType Tensor::type() const {
  const TensorImpl& impl = checked(impl_);
  return {impl.dtype, impl.shape, impl.weak, impl.device};
}
bool Tensor::traced() const { return !checked(impl_).concrete(); }
const Strides& Tensor::strides() const {
  require_concrete(*this, "strides");
  return impl_->strides;
}
bool Tensor::is_contiguous() const {
  require_concrete(*this, "is_contiguous");
  return dense(*impl_);
}
Tensor Tensor::contiguous() const {
  const TensorImpl& impl = checked(impl_);
  return impl.concrete() && dense(impl) ? *this : dense_copy(*this);
}

Tensor Tensor::weak_bool(bool value) { return weak_scalar(DType::kBool, &value); }
Tensor Tensor::weak_float(double value) {
  const float narrow = static_cast<float>(value);
  Tensor out = weak_scalar(DType::kF32, &narrow);
  out.impl_->exact_literal = value;
  return out;
}
Tensor Tensor::weak_complex(double real, double imaginary) {
  const float narrow[2] = {static_cast<float>(real), static_cast<float>(imaginary)};
  Tensor out = weak_scalar(DType::kC64, narrow);
  out.impl_->exact_literal = real;
  out.impl_->exact_imaginary = imaginary;
  return out;
}
Tensor Tensor::weak_integer(int64_t value) {
  if (value == static_cast<int32_t>(value)) {
    const int32_t narrow = static_cast<int32_t>(value);
    return weak_scalar(DType::kI32, &narrow);
  }
  return weak_scalar(DType::kI64, &value);
}
Tensor Tensor::weak_unsigned(uint64_t value) {
  if (value <= 0x7FFFFFFFu) return weak_integer(static_cast<int64_t>(value));
  if (value >> 63) return weak_scalar(DType::kU64, &value);
  return weak_integer(static_cast<int64_t>(value));
}

namespace {

/// Bytes of a dense tensor.
size_t byte_count(DType dtype, std::span<const int64_t> shape) {
  int64_t bytes = static_cast<int64_t>(size_of(dtype));
  bool too_many = false, empty = false;
  for (int64_t size : shape) {
    if (size < 0) fail<ShapeError>("tensor: negative size in shape {}", to_string(shape));
    empty |= size == 0;
    // Even an empty tensor must have addressable strides.
    too_many |= __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes);
  }
  if (too_many)
    fail<ShapeError>("tensor: {} has more bytes than can be addressed", type_string(dtype, shape));
  return empty ? 0 : static_cast<size_t>(bytes);
}

}  // namespace

namespace {

/// Bytes of an array of this shape, whose dense strides it writes.
/// @throws ShapeError as `byte_count`.
size_t lay_out(DType dtype, std::span<const int64_t> shape, int64_t* strides) {
  int64_t step = 1;
  bool bad = false, empty = false;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    empty |= shape[i] == 0;
    bad |= shape[i] < 0 || __builtin_mul_overflow(step, std::max<int64_t>(shape[i], 1), &step);
  }
  bad |= __builtin_mul_overflow(step, static_cast<int64_t>(size_of(dtype)), &step);
  if (bad) return byte_count(dtype, shape);
  return empty ? 0 : static_cast<size_t>(step);
}

}  // namespace

Tensor make_uninitialized(DType dtype, const Shape& shape, Device device, bool weak) {
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = dtype;
  impl->weak = weak;
  impl->device = device;
  impl->shape = shape;
  impl->strides.resize(shape.size());
  const size_t bytes = lay_out(dtype, shape, impl->strides.data());
  if (bytes <= 8 && device == Device{}) {
    impl->data = impl->inline_value;
  } else {
    impl->buffer = BufferHandle(Buffer::allocate(bytes, device));
    impl->data = impl->buffer->data();
  }
  return out;
}

namespace {

/// Another look at the memory of `from`, `elements` from its first element, without a layout yet.
TensorImpl* make_look(const TensorImpl& from, DType dtype, int64_t elements) {
  TensorImpl* impl = new TensorImpl;
  impl->dtype = dtype;
  impl->device = from.device;
  if (dtype == from.dtype) {
    impl->weak = from.weak;
    impl->exact_literal = from.exact_literal;
    impl->exact_imaginary = from.exact_imaginary;
  }
  impl->buffer = from.buffer;
  const int64_t offset = elements * static_cast<int64_t>(size_of(from.dtype));
  if (from.buffer) {
    impl->data = from.data + offset;
  } else {
    // Inline values are copied with the handle; views of up to 8 bytes keep their offset.
    std::memcpy(impl->inline_value, from.inline_value, sizeof impl->inline_value);
    impl->data = impl->inline_value + (from.data - from.inline_value) + offset;
  }
  return impl;
}

}  // namespace

Tensor make_view(const Tensor& base, TensorLayout&& layout) {
  Tensor out(make_look(*base.impl(), layout.dtype, layout.offset));
  out.impl()->shape = std::move(layout.shape);
  out.impl()->strides = std::move(layout.strides);
  return out;
}

Tensor make_view(const Tensor& base, const Shape& shape, const Strides& strides, int64_t offset) {
  Tensor out(make_look(*base.impl(), base.impl()->dtype, offset));
  out.impl()->shape = shape;
  out.impl()->strides = strides;
  return out;
}

Tensor with_weak(const Tensor& tensor, bool weak) {
  if (tensor.weak() == weak) return tensor;
  require_concrete(tensor, "with_weak");
  Tensor out = make_view(tensor, tensor.shape(), tensor.impl()->strides, 0);
  out.impl()->weak = weak;
  return out;
}

void detail::fail_ragged(size_t row, size_t expected, size_t got) {
  fail<ShapeError>("tensor: row {} has {} values, expected {} as in row 0", row, got, expected);
}

void require_defined(std::span<const Tensor> tensors, const char* operation, const char* what) {
  for (const Tensor& tensor : tensors) {
    if (!tensor.defined()) fail<ValueError>("{}: {} is an undefined tensor", operation, what);
  }
}

void require_concrete(const Tensor& tensor, const char* operation) {
  const TensorImpl& impl = checked(tensor.impl());
  if (impl.concrete()) return;
  if (impl.serial == TensorImpl::kAbstract) {
    fail<TraceError>("{}: {} has a type but no value", operation, to_string(tensor.type()));
  }
  const Trace* trace = current_trace();
  while (trace && trace->serial() != impl.serial) trace = trace->parent();
  if (!trace) {
    fail<TraceError>(
        "{}: {} was made inside a transformation that has ended\n"
        "  hint: return the value from the transformed function instead of storing it outside",
        operation, to_string(tensor.type()));
  }
  fail<TraceError>(
      "{}: the value of {} is not known while {} traces the function\n"
      "  hint: C++ control flow cannot depend on traced values; use where(condition, a, b), "
      "or compute the value outside the transformation",
      operation, to_string(tensor.type()), trace->transformation());
}

Tensor make_traced(const Trace& trace, const TensorType& type, std::unique_ptr<Tracer> tracer) {
  checked_element_count("tensor", type.shape);
  TensorImpl* impl = new TensorImpl;
  impl->dtype = type.dtype;
  impl->weak = type.weak;
  impl->device = type.device;
  impl->shape = type.shape;
  impl->serial = trace.serial();
  impl->tracer = std::move(tracer);
  return Tensor(impl);
}

Tracer& tracer_of(const Tensor& tensor) { return *tensor.impl()->tracer; }

Tensor abstract(const TensorType& type) {
  checked_element_count("abstract", type.shape);
  TensorImpl* impl = new TensorImpl;
  impl->dtype = type.dtype;
  impl->weak = type.weak;
  impl->device = type.device;
  impl->shape = type.shape;
  impl->serial = TensorImpl::kAbstract;
  return Tensor(impl);
}

Tensor from_bytes(const void* bytes, DType dtype, const Shape& shape, Device device) {
  return upload(bytes, dtype, shape, device);
}

Tensor detail::from_elements(const void* values, size_t count, DType dtype, const Shape& shape,
                             Device device) {
  if (count * size_of(dtype) != byte_count(dtype, shape)) {
    fail<ShapeError>("tensor: {} values do not fill {}", count, type_string(dtype, shape));
  }
  return from_bytes(values, dtype, shape, device);
}

Tensor from_vector(const std::vector<bool>& values, const Shape& shape) {
  const std::vector<uint8_t> bytes(values.begin(), values.end());
  return detail::from_elements(bytes.data(), bytes.size(), DType::kBool, shape, default_device());
}

Tensor detail::from_numbers(const std::vector<Number>& values, const Shape& shape) {
  DType dtype = values.empty() ? DType::kF32 : values[0].dtype;
  for (const Number& value : values) dtype = promote_types(dtype, value.dtype);
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < values.size(); ++i) {
      T value{};
      if constexpr (std::is_integral_v<T>)
        value = static_cast<T>(values[i].bits);
      else if constexpr (std::is_floating_point_v<T>)
        value = static_cast<T>(values[i].real);
      std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof value);
    }
  });
  return from_elements(bytes.data(), values.size(), dtype, shape, default_device());
}

Tensor from_external(const void* bytes, DType dtype, const Shape& shape,
                     std::shared_ptr<const void> owner) {
  if (reinterpret_cast<uintptr_t>(bytes) % size_of(dtype) != 0) {
    fail<ValueError>("from_external: the address is not aligned to {} bytes, as {} needs",
                     size_of(dtype), name_of(dtype));
  }
  const size_t count = byte_count(dtype, shape);
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = dtype;
  impl->shape = shape;
  impl->strides = dense_strides(shape);
  impl->buffer = BufferHandle(Buffer::wrap(const_cast<void*>(bytes), count, std::move(owner)));
  impl->data = impl->buffer->data();
  return out;
}

Tensor scalar(double value, DType dtype) {
  Tensor out = make_uninitialized(dtype, {});
  if (is_complex(dtype)) {
    const double wide[2] = {value, 0};
    const float narrow[2] = {static_cast<float>(value), 0};
    std::memcpy(mutable_data(out), dtype == DType::kC128 ? static_cast<const void*>(wide) : narrow,
                size_of(dtype));
    return out;
  }
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T typed;
    if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>)
      typed = T(static_cast<float>(value));
    else if constexpr (std::is_same_v<T, bool>)
      typed = value != 0;
    else
      typed = static_cast<T>(value);
    std::memcpy(mutable_data(out), &typed, sizeof typed);
  });
  return out;
}

Tensor scalar_integer(int64_t value, DType dtype) {
  if (is_inexact(dtype)) return scalar(static_cast<double>(value), dtype);
  Tensor out = make_uninitialized(dtype, {});
  if (dtype == DType::kBool) value = value != 0;
  std::memcpy(mutable_data(out), &value,
              size_of(dtype));  // little-endian truncation is the conversion
  return out;
}

namespace {

template <class To, class From>
To converted(From value) {
  constexpr bool kNarrowFrom = std::is_same_v<From, float16> || std::is_same_v<From, bfloat16>;
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (std::is_same_v<To, float16> || std::is_same_v<To, bfloat16>)
    return To(static_cast<float>(value));
  else if constexpr (kNarrowFrom)
    return static_cast<To>(static_cast<float>(value));
  else
    return static_cast<To>(value);
}

template <class Part>
void copy_parts(const Tensor& from, size_t count, Part* to) {
  if (is_complex(from.dtype())) {
    const std::byte* const data = from.impl()->data;
    for (size_t i = 0; i < 2 * count; ++i) {
      if (from.dtype() == DType::kC64)
        to[i] = static_cast<Part>(reinterpret_cast<const float*>(data)[i]);
      else
        to[i] = static_cast<Part>(reinterpret_cast<const double*>(data)[i]);
    }
    return;
  }
  visit_dtype(from.dtype(), [&](auto zero) {
    const auto* values = reinterpret_cast<const decltype(zero)*>(from.impl()->data);
    for (size_t i = 0; i < count; ++i) {
      to[2 * i] = converted<Part>(values[i]);
      to[2 * i + 1] = 0;
    }
  });
}

/// `copy_elements` where one side is complex.
void copy_complex(const Tensor& from, size_t count, void* to, DType dtype, const char* operation) {
  if (dtype == DType::kC64) return copy_parts(from, count, static_cast<float*>(to));
  if (dtype == DType::kC128) return copy_parts(from, count, static_cast<double*>(to));
  if (dtype != DType::kBool) {
    fail<DTypeError>("{}: {} does not fit {}\n  hint: take real(x), imag(x) or abs(x)", operation,
                     to_string(from.type()), name_of(dtype));
  }
  std::vector<double> parts(2 * count);
  copy_parts(from, count, parts.data());
  for (size_t i = 0; i < count; ++i)
    static_cast<bool*>(to)[i] = parts[2 * i] != 0 || parts[2 * i + 1] != 0;
}

}  // namespace

void Tensor::copy_elements(void* to, DType dtype, const char* operation) const {
  require_concrete(*this, operation);
  if (operation[0] == 'i' && size() != 1)
    fail<ShapeError>("{}: expected one element, got {}", operation, to_string(type()));
  const Tensor flat = host_view(*this);
  const size_t count = static_cast<size_t>(size());
  if (is_complex(dtype) || is_complex(flat.dtype())) {
    copy_complex(flat, count, to, dtype, operation);
    return;
  }
  visit_dtype(dtype, [&](auto to_zero) {
    using To = decltype(to_zero);
    visit_dtype(flat.dtype(), [&](auto from_zero) {
      using From = decltype(from_zero);
      const From* values = reinterpret_cast<const From*>(flat.impl()->data);
      for (size_t i = 0; i < count; ++i) static_cast<To*>(to)[i] = converted<To>(values[i]);
    });
  });
}

template <>
std::vector<bool> Tensor::to_vector<bool>() const {
  const std::unique_ptr<bool[]> values(new bool[static_cast<size_t>(size())]);
  copy_elements(values.get(), DType::kBool, "to_vector");
  return std::vector<bool>(values.get(), values.get() + size());
}

const void* Tensor::checked_data(DType dtype) const {
  require_concrete(*this, "data");
  if (this->dtype() != dtype) {
    fail<DTypeError>("data: expected {}, got {}", name_of(dtype), to_string(type()));
  }
  if (!impl_->device.host()) {
    fail<DeviceError>("data: {} is on {}\n  hint: call to(kCpu) first, or to_vector()",
                      to_string(type()), to_string(impl_->device));
  }
  if (!is_contiguous()) {
    fail<ShapeError>("data: {} is a strided view\n  hint: call contiguous() first",
                     to_string(type()));
  }
  return impl_->data;
}

DlpackView dlpack_view(const Tensor& tensor) {
  require_concrete(tensor, "dlpack_view");
  const TensorImpl& impl = *tensor.impl();
  const DType d = impl.dtype;
  const uint8_t code = d == DType::kBool        ? 6
                       : is_signed_integer(d)   ? 0
                       : is_unsigned_integer(d) ? 1
                       : d == DType::kBF16      ? 4
                       : is_complex(d)          ? 5
                                                : 2;
  return {impl.data,
          static_cast<int32_t>(impl.device.type),
          impl.device.index,
          code,
          static_cast<uint8_t>(size_of(d) * 8),
          1,
          impl.shape,
          impl.strides,
          0};
}

std::string to_string(const TensorType& type) {
  return fmt::format("{}{}", type.weak ? "~" : "", type_string(type.dtype, type.shape));
}

std::string to_string(Device device) {
  const char* name = "ext";
  if (device.type == DeviceType::kCpu) name = "cpu";
  if (device.type == DeviceType::kCuda) name = "cuda";
  return fmt::format("{}:{}", name, device.index);
}

}  // namespace linnet
