// A vector of trivially copyable values with inline room for the usual few, used for shapes and
// axes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// Contiguous sequence of up to `N` elements without allocation, more with.
template <class T, size_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  SmallVector(std::initializer_list<T> values) { assign(values.begin(), values.size()); }
  SmallVector(std::span<const T> values) {
    assign(values.data(), values.size());
  }  // NOLINT(runtime/explicit)
  SmallVector(const std::vector<T>& values) {
    assign(values.data(), values.size());
  }  // NOLINT(runtime/explicit)
  explicit SmallVector(size_t count, T value = T{}) { resize(count, value); }
  template <class It>
    requires(!std::is_arithmetic_v<It>)
  SmallVector(It first, It last) {
    for (; first != last; ++first) push_back(static_cast<T>(*first));
  }
  SmallVector(const SmallVector& other) { assign(other.data(), other.size_); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other.data(), other.size_);
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() { release(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return heap_ ? heap_ : inline_; }
  const T* data() const { return heap_ ? heap_ : inline_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& front() { return data()[0]; }
  const T& front() const { return data()[0]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }

  void clear() { size_ = 0; }
  void push_back(T value) {
    grow(size_ + 1);
    data()[size_++] = value;
  }
  void pop_back() { --size_; }
  void resize(size_t count, T value = T{}) {
    grow(count);
    for (size_t i = size_; i < count; ++i) data()[i] = value;
    size_ = static_cast<uint32_t>(count);
  }
  void insert(size_t index, T value) {
    push_back(value);
    __builtin_memmove(data() + index + 1, data() + index, (size_ - 1 - index) * sizeof(T));
    data()[index] = value;
  }
  void erase(size_t index) {
    --size_;
    __builtin_memmove(data() + index, data() + index + 1, (size_ - index) * sizeof(T));
  }
  template <class It>
  void append(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    if (a.size_ != b.size_) return false;
    const T *x = a.data(), *y = b.data();
    for (size_t i = 0; i < a.size_; ++i) {
      if (x[i] != y[i]) return false;
    }
    return true;
  }
  operator std::span<const T>() const { return {data(), size_}; }  // NOLINT(runtime/explicit)

 private:
  // Element by element: for the usual few, calls of memmove and memcmp were a sixth of the time of
  // a view, and wide copies would wait for the narrow stores that have just made a shape.
  static void copy_few(T* target, const T* source, size_t count) {
    for (size_t i = 0; i < N && i < count; ++i) target[i] = source[i];
  }
  void assign(const T* source, size_t count) {
    grow(count);
    copy_few(data(), source, count);
    if (count > N) __builtin_memmove(data() + N, source + N, (count - N) * sizeof(T));
    size_ = static_cast<uint32_t>(count);
  }
  void grow(size_t count) {
    if (count <= capacity_) return;
    const size_t capacity = std::max<size_t>(count, capacity_ * 2);
    T* bigger = new T[capacity];
    __builtin_memcpy(bigger, data(), size_ * sizeof(T));
    release();
    heap_ = bigger;
    capacity_ = static_cast<uint32_t>(capacity);
  }
  void release() {
    delete[] heap_;
    heap_ = nullptr;
    capacity_ = N;
  }
  void take(SmallVector& other) {
    size_ = other.size_;
    heap_ = other.heap_;
    capacity_ = other.capacity_;
    if (!heap_) copy_few(inline_, other.inline_, size_);
    other.heap_ = nullptr;
    other.capacity_ = N;
    other.size_ = 0;
  }

  T* heap_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  T inline_[N];
};

}  // namespace linnet

#pragma GCC visibility pop
