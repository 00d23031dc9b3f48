#include "kernels/cpu/norm/line_kernels.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/norm/real_rows.h"
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
      : total(outer * ((inner + kLineColumns - 1) / kLineColumns)),
        blocks((inner + kLineColumns - 1) / kLineColumns),
        grain(row_grain(axis * std::min(inner, kLineColumns))) {}
};

// Calls visit(block) for every block of columns, in parallel ranges; make_visitor takes the slot.
template <class MakeVisitor>
void for_column_blocks(int64_t outer, int64_t axis, int64_t inner, MakeVisitor&& make_visitor) {
  const ColumnLoop loop(outer, axis, inner);
  parallel_for_slots(loop.total, loop.grain, [&](int64_t begin, int64_t end, int64_t slot) {
    const auto visit = make_visitor(slot);
    for (int64_t at = begin; at < end; ++at) {
      const int64_t first = at % loop.blocks * kLineColumns;
      visit(ColumnBlock{at / loop.blocks * axis * inner + first,
                        std::min(kLineColumns, inner - first)});
    }
  });
}

// A line, or a block of lines, of each operand and of the result.
template <class T>
class Scratch {
 public:
  Scratch(Workspace& w, const LineKernel& kernel, int64_t outer, int64_t axis, int64_t inner)
      : rows_(w, slots(outer, axis, inner), kernel.inputs + !kernel.reduces,
              inner == 1 ? axis : axis * kLineColumns) {}
  Wide<T>* operator()(int64_t slot, int64_t index) const { return rows_.row(slot, index); }

 private:
  static int64_t slots(int64_t outer, int64_t axis, int64_t inner) {
    // Without scratch rows the divisions would be a tenth of the time of a small softmax.
    if (!kIsHalf<T>) return 1;
    if (inner == 1) return parallel_slots(outer, row_grain(axis));
    const ColumnLoop loop(outer, axis, inner);
    return parallel_slots(loop.total, loop.grain);
  }
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
      for (int64_t i = 0; i < axis_; ++i)
        convert_row(data + block.offset + i * inner_, scratch_ + i * block.columns, block.columns);
      return scratch_;
    } else {
      return data + block.offset;
    }
  }

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
      for (int64_t i = 0; i < axis_; ++i)
        convert_row(scratch_ + i * block.columns, data + block.offset + i * inner_, block.columns);
    }
  }

 private:
  Wide<T>* scratch_;
  int64_t axis_, inner_;
};

template <class T>
const LineFunctions<T>& functions_of(const LineKernel& kernel) {
  if constexpr (std::is_same_v<T, double>)
    return kernel.f64;
  else
    return kernel.f32;
}

template <class T>
void run_rows(const LineKernel& kernel, int64_t rows, int64_t axis, const T* const* in, T* out,
              const Scratch<T>& scratch) {
  const auto run = functions_of<Wide<T>>(kernel).row;
  parallel_for_slots(rows, row_grain(axis), [&](int64_t begin, int64_t end, int64_t slot) {
    const Wide<T>* from[kMostLineInputs];
    const OutputRow<T> output(scratch(slot, kernel.inputs));
    for (int64_t row = begin; row < end; ++row) {
      for (int i = 0; i < kernel.inputs; ++i)
        from[i] = InputRow<T>(scratch(slot, i))(in[i] + row * axis, axis);
      if (kernel.reduces) {
        Wide<T> result;
        run(axis, from, &result);
        out[row] = narrow<T>(result);
      } else {
        run(axis, from, output(out + row * axis));
        output.store(out + row * axis, axis);
      }
    }
  });
}

template <class T>
void run_columns(const LineKernel& kernel, int64_t outer, int64_t axis, int64_t inner,
                 const T* const* in, T* out, const Scratch<T>& scratch) {
  const auto run = functions_of<Wide<T>>(kernel).columns;
  for_column_blocks(outer, axis, inner, [&](int64_t slot) {
    return [=, &kernel, &scratch](ColumnBlock block) {
      const Wide<T>* from[kMostLineInputs];
      for (int i = 0; i < kernel.inputs; ++i)
        from[i] = BlockInput<T>(scratch(slot, i), axis, inner)(in[i], block);
      const int64_t stride = kIsHalf<T> ? block.columns : inner;
      if (kernel.reduces) {
        Wide<T> result[kLineColumns];
        run(axis, stride, block.columns, from, result);
        const int64_t matrix = axis * inner;
        T* to = out + block.offset / matrix * inner + block.offset % matrix;
        for (int64_t c = 0; c < block.columns; ++c) to[c] = narrow<T>(result[c]);
      } else {
        const BlockOutput<T> output(scratch(slot, kernel.inputs), axis, inner);
        run(axis, stride, block.columns, from, output(out, block));
        output.store(out, block);
      }
    };
  });
}

}  // namespace

size_t lines_workspace(const LineKernel& kernel, DType dtype, int64_t outer, int64_t axis,
                       int64_t inner) {
  return size_of(dtype) == 2 ? workspace_bytes<Scratch<float16>>(kernel, outer, axis, inner) : 0;
}

void run_lines(const LineKernel& kernel, DType dtype, int64_t outer, int64_t axis, int64_t inner,
               const void* const* in, void* out, void* workspace) {
  visit_real(kernel.name, dtype, [&](auto zero) {
    using T = decltype(zero);
    // A line of nothing is a line of nothing, but may have a number.
    if (outer == 0 || inner == 0 || (axis == 0 && !kernel.reduces)) return;
    const T* from[kMostLineInputs];
    for (int i = 0; i < kernel.inputs; ++i) from[i] = static_cast<const T*>(in[i]);
    Workspace w(workspace);
    const Scratch<T> scratch(w, kernel, outer, axis, inner);
    if (inner == 1)
      run_rows(kernel, outer, axis, from, static_cast<T*>(out), scratch);
    else
      run_columns(kernel, outer, axis, inner, from, static_cast<T*>(out), scratch);
  });
}

}  // namespace linnet::cpu
