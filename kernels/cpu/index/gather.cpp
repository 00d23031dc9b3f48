#include "kernels/cpu/index/gather.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/index/index_vectors.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

bool contains(const Axes& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

// The operand dimensions walked inside a slice, with their strides in operand and result.
struct SliceLoop {
  int64_t size, from, to;
};
using SliceLoops = SmallVector<SliceLoop, 6>;

void check(const GatherOperands& g, const GatherDimensions& dims,
           std::span<const int64_t> slice_sizes) {
  require_shape(slice_sizes.size() == g.shape.size(), "gather",
                "expected a slice size for every operand dimension");
  require_shape(
      dims.offset_dims.size() + dims.collapsed_slice_dims.size() +
              dims.operand_batching_dims.size() ==
          g.shape.size(),
      "gather",
      "expected every operand dimension to be an offset, collapsed or batching dimension");
  for (size_t i = 0; i < slice_sizes.size(); ++i) {
    if (slice_sizes[i] < 0 || slice_sizes[i] > g.shape[i]) {
      throw ShapeError("gather: expected slices inside " + type_string(g.dtype, g.shape) +
                       ", got sizes " + to_string(slice_sizes));
    }
  }
}

// Splits the result's dimensions into those of the slice (offset_dims) and those of the batch.
void split_result(const GatherOperands& g, const GatherDimensions& dims,
                  std::span<const int64_t> slice_sizes, SliceLoops& slice, Shape& batch_shape,
                  Strides& batch_strides) {
  const Shape shape = gather_shape(dims, g.indices_shape, slice_sizes);
  const Strides strides = dense_strides(shape);
  size_t next_offset = 0;
  for (size_t i = 0; i < g.shape.size(); ++i) {
    const int64_t dim = static_cast<int64_t>(i);
    if (contains(dims.collapsed_slice_dims, dim) || contains(dims.operand_batching_dims, dim))
      continue;
    const size_t at = static_cast<size_t>(dims.offset_dims[next_offset++]);
    slice.push_back({slice_sizes[i], g.strides[i], strides[at]});
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (contains(dims.offset_dims, static_cast<int64_t>(i))) continue;
    batch_shape.push_back(shape[i]);
    batch_strides.push_back(strides[i]);
  }
}

template <class Word>
void copy_slice(const SliceLoop* loops, size_t depth, const Word* from, Word* to) {
  if (depth == 0) {
    *to = *from;
    return;
  }
  if (depth == 1) {
    if (loops->from == 1 && loops->to == 1) {
      std::memcpy(to, from, static_cast<size_t>(loops->size) * sizeof(Word));
    } else {
      for (int64_t i = 0; i < loops->size; ++i) to[i * loops->to] = from[i * loops->from];
    }
    return;
  }
  for (int64_t i = 0; i < loops->size; ++i)
    copy_slice(loops + 1, depth - 1, from + i * loops->from, to + i * loops->to);
}

int64_t batch_offset(int64_t index, const Shape& shape, const Strides& strides) {
  int64_t offset = 0;
  for (size_t i = shape.size(); i-- > 0;) {
    offset += index % shape[i] * strides[i];
    index /= shape[i];
  }
  return offset;
}

template <class Word>
void gather_words(const GatherOperands& g, const GatherDimensions& dims,
                  std::span<const int64_t> slice_sizes, const WindowOffsets& windows,
                  const void* fill, void* out) {
  SliceLoops slice;
  Shape batch_shape;
  Strides batch_strides;
  split_result(g, dims, slice_sizes, slice, batch_shape, batch_strides);
  SliceLoops filled = slice;
  for (SliceLoop& loop : filled) loop.from = 0;
  const int64_t slice_elements = element_count(slice_sizes);
  if (slice_elements == 0) return;
  const Word* operand = static_cast<const Word*>(g.operand);
  const int64_t count = static_cast<int64_t>(windows.offsets.size());
  parallel_for(count, std::max<int64_t>(1, 16384 / slice_elements),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   Word* to = static_cast<Word*>(out) + batch_offset(i, batch_shape, batch_strides);
                   const int64_t from = windows.offsets[static_cast<size_t>(i)];
                   if (from == WindowOffsets::kOutside)
                     copy_slice(filled.data(), filled.size(), static_cast<const Word*>(fill), to);
                   else
                     copy_slice(slice.data(), slice.size(), operand + from, to);
                 }
               });
}

struct PairOfWords {
  uint64_t first, second;
};

template <class Call>
void visit_words(DType dtype, Call&& call) {
  switch (size_of(dtype)) {
    case 1:
      return call(uint8_t{});
    case 2:
      return call(uint16_t{});
    case 4:
      return call(uint32_t{});
    case 8:
      return call(uint64_t{});
    default:
      return call(PairOfWords{});
  }
}

}  // namespace

Shape gather_shape(const GatherDimensions& dims, std::span<const int64_t> indices_shape,
                   std::span<const int64_t> slice_sizes) {
  Shape slice;
  for (size_t i = 0; i < slice_sizes.size(); ++i) {
    const int64_t dim = static_cast<int64_t>(i);
    if (!contains(dims.collapsed_slice_dims, dim) && !contains(dims.operand_batching_dims, dim))
      slice.push_back(slice_sizes[i]);
  }
  Shape shape;
  size_t next_slice = 0, next_batch = 0;
  const size_t rank = slice.size() + indices_shape.size() - 1;
  for (size_t i = 0; i < rank; ++i) {
    if (contains(dims.offset_dims, static_cast<int64_t>(i)))
      shape.push_back(slice[next_slice++]);
    else
      shape.push_back(indices_shape[next_batch++]);
  }
  return shape;
}

size_t index_workspace(std::span<const int64_t> indices_shape) {
  return indices_shape.empty() ? 0 : workspace_bytes<IndexSpace>(indices_shape);
}

void gather(const GatherOperands& g, const GatherDimensions& dims,
            std::span<const int64_t> slice_sizes, IndexMode mode, const void* fill, void* out,
            void* workspace) {
  check(g, dims, slice_sizes);
  require_shape(!g.indices_shape.empty(), "gather", "expected index vectors");
  Workspace parts(workspace);
  const IndexSpace space(parts, g.indices_shape);
  const std::span<const int64_t> indices = read_indices(
      "gather", g.index_dtype, g.indices, g.indices_shape, g.indices_strides, space.indices);
  const WindowOffsets windows = window_offsets(
      {"gather", g.shape, g.strides, slice_sizes, dims.start_index_map, dims.operand_batching_dims,
       dims.indices_batching_dims, g.indices_shape, mode},
      indices, space.offsets);
  visit_words(g.dtype, [&](auto word) {
    gather_words<decltype(word)>(g, dims, slice_sizes, windows, fill, out);
  });
}

void take_rows(DType dtype, const void* table, int64_t rows, int64_t width, DType index_dtype,
               const void* indices, int64_t count, IndexMode mode, const void* fill, void* out,
               void* workspace) {
  if (rows == 0 && mode != IndexMode::kFill && count > 0 && width > 0) {
    throw ShapeError("take_rows: expected a table with at least one row");
  }
  const int64_t index_shape[] = {count}, index_strides[] = {1};
  const std::span<const int64_t> index =
      read_indices("take_rows", index_dtype, indices, index_shape, index_strides,
                   static_cast<int64_t*>(workspace));
  visit_words(dtype, [&](auto word) {
    using Word = decltype(word);
    const Word* from = static_cast<const Word*>(table);
    Word* to = static_cast<Word*>(out);
    parallel_for(count, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = index[static_cast<size_t>(i)];
                     if (mode == IndexMode::kFill && (row < 0 || row >= rows)) {
                       std::fill_n(to + i * width, width, *static_cast<const Word*>(fill));
                     } else {
                       const int64_t inside = std::clamp<int64_t>(row, 0, rows - 1);
                       std::memcpy(to + i * width, from + inside * width,
                                   static_cast<size_t>(width) * sizeof(Word));
                     }
                   }
                 });
  });
}

}  // namespace linnet::cpu
