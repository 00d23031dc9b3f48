// Runs float kernels on rows of 16-bit floats: widened into scratch memory on the way in and
// rounded on the way out. For float and double the rows are used in place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/reduce/element.h"
#include "linnet/error.h"

namespace linnet::cpu {

/// A readable row: the operand itself, or a widened copy.
template <class T>
class InputRow {
 public:
  explicit InputRow(int64_t capacity) {
    if constexpr (kIsHalf<T>) buffer_.resize(static_cast<size_t>(capacity));
  }
  const Wide<T>* operator()(const T* from, int64_t count) {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < count; ++i) buffer_[static_cast<size_t>(i)] = widen(from[i]);
      return buffer_.data();
    } else {
      return from;
    }
  }

 private:
  std::vector<Wide<T>> buffer_;
};

/// A writable row: the result itself, or scratch memory that `store` rounds into the result.
template <class T>
class OutputRow {
 public:
  explicit OutputRow(int64_t capacity) {
    if constexpr (kIsHalf<T>) buffer_.resize(static_cast<size_t>(capacity));
  }
  Wide<T>* operator()(T* to) {
    if constexpr (kIsHalf<T>)
      return buffer_.data();
    else
      return to;
  }
  void store(T* to, int64_t count) {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < count; ++i) to[i] = narrow<T>(buffer_[static_cast<size_t>(i)]);
    }
  }

 private:
  std::vector<Wide<T>> buffer_;
};

/// Calls `f(T{})` for a floating type. @throws DTypeError naming `operation` for others.
template <class F>
void visit_real(const char* operation, DType dtype, F&& f) {
  visit_dtype(dtype, [&](auto zero) {
    if constexpr (kIsFloating<decltype(zero)>)
      f(zero);
    else
      throw DTypeError(std::string(operation) + ": expected a floating type, got " +
                       std::string(name_of(dtype)));
  });
}

/// Rows worth a thread, for rows of `length` elements.
inline int64_t row_grain(int64_t length) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, length));
}

}  // namespace linnet::cpu
