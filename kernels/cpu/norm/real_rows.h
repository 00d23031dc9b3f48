// Runs float kernels on rows of 16-bit floats: widened into scratch memory on the way in and
// rounded on the way out. For float and double the rows are used in place.
//
//   const RowScratch<T> scratch(w, parallel_slots(rows, grain), 2, length);
//   parallel_for_slots(rows, grain, [&](int64_t begin, int64_t end, int64_t slot) {
//     InputRow<T> input(scratch.row(slot, 0));
//     OutputRow<T> output(scratch.row(slot, 1));
//     …
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/workspace.h"
#include "linnet/error.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {

/// The scratch rows of each range that a loop works on at the same time; none where rows are used
/// in place.
template <class T>
class RowScratch {
 public:
  /// @param rows of `length` elements, for each of `slots`
  RowScratch(Workspace& w, int64_t slots, int64_t rows, int64_t length)
      : rows_(rows),
        length_(length),
        data_(w.take<Wide<T>>(kIsHalf<T> ? slots * rows * length : 0)) {}
  Wide<T>* row(int64_t slot, int64_t index) const {
    return kIsHalf<T> ? data_ + (slot * rows_ + index) * length_ : nullptr;
  }

 private:
  int64_t rows_, length_;
  Wide<T>* data_;
};

/// Bytes of a RowScratch for elements of `dtype`.
inline size_t row_scratch_bytes(DType dtype, int64_t slots, int64_t rows, int64_t length) {
  return size_of(dtype) == 2 ? workspace_bytes<RowScratch<float16>>(slots, rows, length) : 0;
}

/// Converts neighbouring elements with the vectors of the machine.
template <class From, class To>
void convert_row(const From* from, To* to, int64_t count) {
  LoopCall call;
  call.in[0] = from;
  call.out = to;
  call.count = count;
  elementwise_table().get_cast(dtype_of<From>(), dtype_of<To>())(call);
}

/// A readable row: the operand itself, or a widened copy.
template <class T>
class InputRow {
 public:
  explicit InputRow(Wide<T>* scratch) : scratch_(scratch) {}
  const Wide<T>* operator()(const T* from, int64_t count) const {
    if constexpr (kIsHalf<T>) {
      convert_row(from, scratch_, count);
      return scratch_;
    } else {
      return from;
    }
  }

 private:
  Wide<T>* scratch_;
};

/// A writable row: the result itself, or scratch memory that `store` rounds into the result.
template <class T>
class OutputRow {
 public:
  explicit OutputRow(Wide<T>* scratch) : scratch_(scratch) {}
  Wide<T>* operator()(T* to) const {
    if constexpr (kIsHalf<T>)
      return scratch_;
    else
      return to;
  }
  void store(T* to, int64_t count) const {
    if constexpr (kIsHalf<T>) {
      convert_row(scratch_, to, count);
    }
  }

 private:
  Wide<T>* scratch_;
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
