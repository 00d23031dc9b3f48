// What a Tensor handle points to, and the buffers behind concrete tensors.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>

#include "linnet/tensor.h"
#include "linnet/trace.h"

namespace linnet {

/// A counted block of device memory.
class Buffer {
 public:
  /// A fresh block from the device's allocator.
  static Buffer* allocate(size_t bytes, Device device);
  /// Memory of somebody else, kept alive by `owner`.
  static Buffer* wrap(void* data, size_t bytes, std::shared_ptr<const void> owner);

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    // Whoever holds the only reference cannot be joined by others: no read-modify-write needed.
    if (unique() || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  bool unique() const { return references_.load(std::memory_order_acquire) == 1; }
  bool external() const { return allocator_ == nullptr; }
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  static void* operator new(size_t bytes);
  static void operator delete(void* block) noexcept;

 private:
  Buffer() = default;
  ~Buffer() = default;
  void destroy();

  std::atomic<uint32_t> references_{1};
  Allocator* allocator_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  std::shared_ptr<const void> owner_;
};

class BufferHandle {
 public:
  BufferHandle() = default;
  explicit BufferHandle(Buffer* adopted) : buffer_(adopted) {}
  BufferHandle(const BufferHandle& other) : buffer_(other.buffer_) {
    if (buffer_) buffer_->retain();
  }
  BufferHandle(BufferHandle&& other) noexcept : buffer_(other.buffer_) { other.buffer_ = nullptr; }
  BufferHandle& operator=(BufferHandle other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~BufferHandle() {
    if (buffer_) buffer_->release();
  }
  Buffer* get() const { return buffer_; }
  Buffer* operator->() const { return buffer_; }
  explicit operator bool() const { return buffer_ != nullptr; }

 private:
  Buffer* buffer_ = nullptr;
};

class TensorImpl {
 public:
  static constexpr uint64_t kConcrete = 0;
  static constexpr uint64_t kAbstract = ~uint64_t{0};

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (unique() || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  bool unique() const { return references_.load(std::memory_order_acquire) == 1; }

  static void* operator new(size_t bytes);
  static void operator delete(void* block) noexcept;

  bool concrete() const { return serial == kConcrete; }

  DType dtype = DType::kF32;
  bool weak = false;
  Device device;
  uint64_t serial = kConcrete;  ///< of the trace it belongs to
  Shape shape;
  Strides strides;
  std::byte* data =
      nullptr;  ///< first element; points to `inline_value` for zero-dimensional literals
  BufferHandle buffer;
  std::unique_ptr<Tracer> tracer;
  /// The literal before rounding to f32, for weak scalars that meet an f64 tensor; NaN if there is
  /// none.
  double exact_literal = std::numeric_limits<double>::quiet_NaN();
  /// Its imaginary part, for weak complex scalars that meet a c128 tensor.
  double exact_imaginary = 0;
  alignas(8) std::byte inline_value[16];

 private:
  std::atomic<uint32_t> references_{1};
};

/// Handles lent to a call without touching the reference counts; the tensors they were made from
/// must outlive it.
template <size_t N>
class BorrowedTensors {
 public:
  template <class... T>
    requires(sizeof...(T) == N)
  explicit BorrowedTensors(const T&... tensors) : tensors_{Tensor(tensors.impl())...} {}
  ~BorrowedTensors() {
    for (Tensor& tensor : tensors_) tensor.release();
  }
  BorrowedTensors(const BorrowedTensors&) = delete;
  BorrowedTensors& operator=(const BorrowedTensors&) = delete;
  operator std::span<const Tensor>() const { return tensors_; }  // NOLINT(runtime/explicit)

 private:
  Tensor tensors_[N];
};

/// A dense, uninitialised tensor.
Tensor make_uninitialized(DType dtype, const Shape& shape, Device device = kCpu, bool weak = false);
/// Another look at the same memory, laid out so.
Tensor make_view(const Tensor& base, TensorLayout&& layout);
/// Another look at the same memory; `offset` in elements from the first element of `base`.
Tensor make_view(const Tensor& base, const Shape& shape, const Strides& strides, int64_t offset);
/// A handle with another weak flag (same memory); traced tensors are not touched.
Tensor with_weak(const Tensor& tensor, bool weak);
/// `dense_strides` into memory that is there.
void fill_dense_strides(std::span<const int64_t> shape, std::span<int64_t> strides);
/// First element for writing; only for tensors just made by `make_uninitialized`.
inline std::byte* mutable_data(const Tensor& tensor) { return tensor.impl()->data; }
inline bool dense(const TensorImpl& impl) { return is_dense(impl.shape, impl.strides); }
/// Copies a strided tensor into dense memory through the device's copy kernel.
Tensor dense_copy(const Tensor& tensor);
/// @throws ValueError if one of them is undefined: `operation: what is an undefined tensor`.
void require_defined(std::span<const Tensor> tensors, const char* operation, const char* what);
/// @throws TraceError unless the tensor is concrete; `operation` begins the text.
void require_concrete(const Tensor& tensor, const char* operation);

}  // namespace linnet
