#include "kernels/cpu/norm/softmax.h"

#include <algorithm>

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

// The loop over blocks of columns, each worth `grain` of them.
struct ColumnLoop {
  int64_t total, blocks, grain;
  ColumnLoop(int64_t outer, int64_t axis, int64_t inner)
      : total(outer * ((inner + kSoftmaxColumns - 1) / kSoftmaxColumns)),
        blocks((inner + kSoftmaxColumns - 1) / kSoftmaxColumns),
        grain(row_grain(axis * std::min(inner, kSoftmaxColumns))) {}
};

// Calls visit(block) for every block of columns, in parallel ranges; make_visitor takes the slot.
template <class MakeVisitor>
void for_column_blocks(int64_t outer, int64_t axis, int64_t inner, MakeVisitor&& make_visitor) {
  const ColumnLoop loop(outer, axis, inner);
  parallel_for_slots(loop.total, loop.grain, [&](int64_t begin, int64_t end, int64_t slot) {
    const auto visit = make_visitor(slot);
    for (int64_t at = begin; at < end; ++at) {
      const int64_t first = at % loop.blocks * kSoftmaxColumns;
      visit(ColumnBlock{at / loop.blocks * axis * inner + first,
                        std::min(kSoftmaxColumns, inner - first)});
    }
  });
}

constexpr int64_t kMostRows = 3;  // that a function widens or rounds

// Rows, or blocks of columns.
template <class T>
class Scratch {
 public:
  Scratch(Workspace& w, int64_t outer, int64_t axis, int64_t inner)
      : rows_(w,
              inner == 1 ? parallel_slots(outer, row_grain(axis))
                         : parallel_slots(ColumnLoop(outer, axis, inner).total,
                                          ColumnLoop(outer, axis, inner).grain),
              kMostRows, inner == 1 ? axis : axis * kSoftmaxColumns) {}
  Wide<T>* operator()(int64_t slot, int64_t index) const { return rows_.row(slot, index); }

 private:
  RowScratch<T> rows_;
};

// The block as wide numbers: in place (stride inner) or copied to scratch memory (stride columns).
template <class T>
class BlockInput {
 public:
  BlockInput(Wide<T>* scratch, int64_t axis, int64_t inner)
      : scratch_(scratch), axis_(axis), inner_(inner) {}
  const Wide<T>* operator()(const T* data, ColumnBlock block) const {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < axis_; ++i) {
        const T* from = data + block.offset + i * inner_;
        for (int64_t c = 0; c < block.columns; ++c)
          scratch_[i * block.columns + c] = widen(from[c]);
      }
      return scratch_;
    } else {
      return data + block.offset;
    }
  }
  int64_t stride(ColumnBlock block) const { return kIsHalf<T> ? block.columns : inner_; }

 private:
  Wide<T>* scratch_;
  int64_t axis_, inner_;
};

template <class T>
class BlockOutput {
 public:
  BlockOutput(Wide<T>* scratch, int64_t axis, int64_t inner)
      : scratch_(scratch), axis_(axis), inner_(inner) {}
  Wide<T>* operator()(T* data, ColumnBlock block) const {
    if constexpr (kIsHalf<T>)
      return scratch_;
    else
      return data + block.offset;
  }
  void store(T* data, ColumnBlock block) const {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < axis_; ++i) {
        T* to = data + block.offset + i * inner_;
        for (int64_t c = 0; c < block.columns; ++c)
          to[c] = narrow<T>(scratch_[i * block.columns + c]);
      }
    }
  }

 private:
  Wide<T>* scratch_;
  int64_t axis_, inner_;
};

template <class T>
void forward_rows(int64_t rows, int64_t axis, const T* x, T* y, bool logarithm,
                  const Scratch<T>& scratch) {
  parallel_for_slots(rows, row_grain(axis), [&](int64_t begin, int64_t end, int64_t slot) {
    const InputRow<T> input(scratch(slot, 0));
    const OutputRow<T> output(scratch(slot, 1));
    for (int64_t row = begin; row < end; ++row) {
      softmax_row(axis, input(x + row * axis, axis), output(y + row * axis), logarithm);
      output.store(y + row * axis, axis);
    }
  });
}

template <class T>
void forward_columns(int64_t outer, int64_t axis, int64_t inner, const T* x, T* y, bool logarithm,
                     const Scratch<T>& scratch) {
  for_column_blocks(outer, axis, inner, [&](int64_t slot) {
    return [=, input = BlockInput<T>(scratch(slot, 0), axis, inner),
            output = BlockOutput<T>(scratch(slot, 1), axis, inner)](ColumnBlock block) {
      softmax_columns(axis, input.stride(block), block.columns, input(x, block), output(y, block),
                      logarithm);
      output.store(y, block);
    };
  });
}

template <class T>
void backward_rows(int64_t rows, int64_t axis, const T* y, const T* dy, T* dx, bool logarithm,
                   const Scratch<T>& scratch) {
  parallel_for_slots(rows, row_grain(axis), [&](int64_t begin, int64_t end, int64_t slot) {
    const InputRow<T> value(scratch(slot, 0)), gradient(scratch(slot, 1));
    const OutputRow<T> output(scratch(slot, 2));
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
                      bool logarithm, const Scratch<T>& scratch) {
  for_column_blocks(outer, axis, inner, [&](int64_t slot) {
    return [=, value = BlockInput<T>(scratch(slot, 0), axis, inner),
            gradient = BlockInput<T>(scratch(slot, 1), axis, inner),
            output = BlockOutput<T>(scratch(slot, 2), axis, inner)](ColumnBlock block) {
      softmax_columns_backward(axis, value.stride(block), block.columns, value(y, block),
                               gradient(dy, block), output(dx, block), logarithm);
      output.store(dx, block);
    };
  });
}

template <class T>
void logsumexp_typed(int64_t outer, int64_t axis, int64_t inner, const T* x, T* out,
                     const Scratch<T>& scratch) {
  if (inner == 1) {
    parallel_for_slots(outer, row_grain(axis), [&](int64_t begin, int64_t end, int64_t slot) {
      const InputRow<T> input(scratch(slot, 0));
      for (int64_t row = begin; row < end; ++row)
        out[row] = narrow<T>(logsumexp_row(axis, input(x + row * axis, axis)));
    });
    return;
  }
  for_column_blocks(outer, axis, inner, [&](int64_t slot) {
    return [=, input = BlockInput<T>(scratch(slot, 0), axis, inner)](ColumnBlock block) {
      Wide<T> result[kSoftmaxColumns];
      logsumexp_columns(axis, input.stride(block), block.columns, input(x, block), result);
      const int64_t matrix = block.offset / (axis * inner), first = block.offset % (axis * inner);
      for (int64_t c = 0; c < block.columns; ++c)
        out[matrix * inner + first + c] = narrow<T>(result[c]);
    };
  });
}

}  // namespace

size_t softmax_workspace(DType dtype, int64_t outer, int64_t axis, int64_t inner) {
  return size_of(dtype) == 2 ? workspace_bytes<Scratch<float16>>(outer, axis, inner) : 0;
}

void softmax(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* y,
             bool logarithm, void* workspace) {
  visit_real("softmax", dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(y);
    if (axis == 0) return;
    Workspace w(workspace);
    const Scratch<T> scratch(w, outer, axis, inner);
    if (inner == 1)
      forward_rows(outer, axis, from, to, logarithm, scratch);
    else
      forward_columns(outer, axis, inner, from, to, logarithm, scratch);
  });
}

void softmax_backward(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* y,
                      const void* dy, void* dx, bool logarithm, void* workspace) {
  visit_real("softmax gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *value = static_cast<const T*>(y), *gradient = static_cast<const T*>(dy);
    T* to = static_cast<T*>(dx);
    if (axis == 0) return;
    Workspace w(workspace);
    const Scratch<T> scratch(w, outer, axis, inner);
    if (inner == 1)
      backward_rows(outer, axis, value, gradient, to, logarithm, scratch);
    else
      backward_columns(outer, axis, inner, value, gradient, to, logarithm, scratch);
  });
}

void logsumexp(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* out,
               void* workspace) {
  visit_real("logsumexp", dtype, [&](auto zero) {
    using T = decltype(zero);
    Workspace w(workspace);
    logsumexp_typed(outer, axis, inner, static_cast<const T*>(x), static_cast<T*>(out),
                    Scratch<T>(w, outer, axis, inner));
  });
}

}  // namespace linnet::cpu
