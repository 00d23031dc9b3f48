#include "kernels/cpu/norm/softmax.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/norm/softmax_kernels.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

// A block of neighbouring columns of one [axis, inner] matrix.
struct ColumnBlock {
  int64_t offset;  // of its first element
  int64_t columns;
};

// Calls visit(block) for every block of columns, in parallel ranges; begin_range makes the scratch
// memory.
template <class MakeVisitor>
void for_column_blocks(int64_t outer, int64_t axis, int64_t inner, MakeVisitor&& make_visitor) {
  const int64_t blocks = (inner + kSoftmaxColumns - 1) / kSoftmaxColumns;
  const int64_t grain = row_grain(axis * std::min(inner, kSoftmaxColumns));
  parallel_for(outer * blocks, grain, [&](int64_t begin, int64_t end) {
    auto visit = make_visitor();
    for (int64_t at = begin; at < end; ++at) {
      const int64_t first = at % blocks * kSoftmaxColumns;
      visit(ColumnBlock{at / blocks * axis * inner + first,
                        std::min(kSoftmaxColumns, inner - first)});
    }
  });
}

// The block as wide numbers: in place (stride inner) or copied to scratch memory (stride columns).
template <class T>
class BlockInput {
 public:
  BlockInput(int64_t axis, int64_t inner) : axis_(axis), inner_(inner) {
    if constexpr (kIsHalf<T>) buffer_.resize(static_cast<size_t>(axis * kSoftmaxColumns));
  }
  const Wide<T>* operator()(const T* data, ColumnBlock block) {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < axis_; ++i) {
        const T* from = data + block.offset + i * inner_;
        for (int64_t c = 0; c < block.columns; ++c)
          buffer_[static_cast<size_t>(i * block.columns + c)] = widen(from[c]);
      }
      return buffer_.data();
    } else {
      return data + block.offset;
    }
  }
  int64_t stride(ColumnBlock block) const { return kIsHalf<T> ? block.columns : inner_; }

 private:
  int64_t axis_, inner_;
  std::vector<Wide<T>> buffer_;
};

template <class T>
class BlockOutput {
 public:
  BlockOutput(int64_t axis, int64_t inner) : axis_(axis), inner_(inner) {
    if constexpr (kIsHalf<T>) buffer_.resize(static_cast<size_t>(axis * kSoftmaxColumns));
  }
  Wide<T>* operator()(T* data, ColumnBlock block) {
    if constexpr (kIsHalf<T>)
      return buffer_.data();
    else
      return data + block.offset;
  }
  void store(T* data, ColumnBlock block) {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < axis_; ++i) {
        T* to = data + block.offset + i * inner_;
        for (int64_t c = 0; c < block.columns; ++c)
          to[c] = narrow<T>(buffer_[static_cast<size_t>(i * block.columns + c)]);
      }
    }
  }

 private:
  int64_t axis_, inner_;
  std::vector<Wide<T>> buffer_;
};

template <class T>
void forward_rows(int64_t rows, int64_t axis, const T* x, T* y, bool logarithm) {
  parallel_for(rows, row_grain(axis), [&](int64_t begin, int64_t end) {
    InputRow<T> input(axis);
    OutputRow<T> output(axis);
    for (int64_t row = begin; row < end; ++row) {
      softmax_row(axis, input(x + row * axis, axis), output(y + row * axis), logarithm);
      output.store(y + row * axis, axis);
    }
  });
}

template <class T>
void forward_columns(int64_t outer, int64_t axis, int64_t inner, const T* x, T* y, bool logarithm) {
  for_column_blocks(outer, axis, inner, [&] {
    return [=, input = BlockInput<T>(axis, inner),
            output = BlockOutput<T>(axis, inner)](ColumnBlock block) mutable {
      softmax_columns(axis, input.stride(block), block.columns, input(x, block), output(y, block),
                      logarithm);
      output.store(y, block);
    };
  });
}

template <class T>
void backward_rows(int64_t rows, int64_t axis, const T* y, const T* dy, T* dx, bool logarithm) {
  parallel_for(rows, row_grain(axis), [&](int64_t begin, int64_t end) {
    InputRow<T> value(axis), gradient(axis);
    OutputRow<T> output(axis);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * axis;
      softmax_row_backward(axis, value(y + at, axis), gradient(dy + at, axis), output(dx + at),
                           logarithm);
      output.store(dx + at, axis);
    }
  });
}

template <class T>
void backward_columns(int64_t outer, int64_t axis, int64_t inner, const T* y, const T* dy, T* dx,
                      bool logarithm) {
  for_column_blocks(outer, axis, inner, [&] {
    return [=, value = BlockInput<T>(axis, inner), gradient = BlockInput<T>(axis, inner),
            output = BlockOutput<T>(axis, inner)](ColumnBlock block) mutable {
      softmax_columns_backward(axis, value.stride(block), block.columns, value(y, block),
                               gradient(dy, block), output(dx, block), logarithm);
      output.store(dx, block);
    };
  });
}

template <class T>
void logsumexp_typed(int64_t outer, int64_t axis, int64_t inner, const T* x, T* out) {
  if (inner == 1) {
    parallel_for(outer, row_grain(axis), [&](int64_t begin, int64_t end) {
      InputRow<T> input(axis);
      for (int64_t row = begin; row < end; ++row)
        out[row] = narrow<T>(logsumexp_row(axis, input(x + row * axis, axis)));
    });
    return;
  }
  for_column_blocks(outer, axis, inner, [&] {
    return [=, input = BlockInput<T>(axis, inner)](ColumnBlock block) mutable {
      Wide<T> result[kSoftmaxColumns];
      logsumexp_columns(axis, input.stride(block), block.columns, input(x, block), result);
      const int64_t matrix = block.offset / (axis * inner), first = block.offset % (axis * inner);
      for (int64_t c = 0; c < block.columns; ++c)
        out[matrix * inner + first + c] = narrow<T>(result[c]);
    };
  });
}

}  // namespace

void softmax(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* y,
             bool logarithm) {
  visit_real("softmax", dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(y);
    if (axis == 0) return;
    if (inner == 1)
      forward_rows(outer, axis, from, to, logarithm);
    else
      forward_columns(outer, axis, inner, from, to, logarithm);
  });
}

void softmax_backward(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* y,
                      const void* dy, void* dx, bool logarithm) {
  visit_real("softmax gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *value = static_cast<const T*>(y), *gradient = static_cast<const T*>(dy);
    T* to = static_cast<T*>(dx);
    if (axis == 0) return;
    if (inner == 1)
      backward_rows(outer, axis, value, gradient, to, logarithm);
    else
      backward_columns(outer, axis, inner, value, gradient, to, logarithm);
  });
}

void logsumexp(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* out) {
  visit_real("logsumexp", dtype, [&](auto zero) {
    using T = decltype(zero);
    logsumexp_typed(outer, axis, inner, static_cast<const T*>(x), static_cast<T*>(out));
  });
}

}  // namespace linnet::cpu
