#include "kernels/cpu/index/strided_copy.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cpu/complex/pairs.h"
#include "kernels/cpu/elementwise/transpose.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/streaming.h"
#include "kernels/layout/insertion_sort.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/shape.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements worth a thread

struct CopyLoop {
  int64_t size, from, to;
};
using CopyLoops = SmallVector<CopyLoop, 6>;

// Loops in the order of the target's strides, neighbours merged; the innermost one last.
CopyLoops copy_loops(std::span<const int64_t> shape, std::span<const int64_t> from,
                     std::span<const int64_t> to) {
  CopyLoops loops;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) loops.push_back({shape[i], from[i], to[i]});
  }
  insertion_sort(loops.begin(), loops.end(), [](const CopyLoop& a, const CopyLoop& b) {
    return std::abs(a.to) > std::abs(b.to);
  });
  CopyLoops merged;
  for (const CopyLoop& loop : loops) {
    if (!merged.empty() && merged.back().from == loop.size * loop.from &&
        merged.back().to == loop.size * loop.to) {
      merged.back() = {merged.back().size * loop.size, loop.from, loop.to};
    } else {
      merged.push_back(loop);
    }
  }
  if (merged.empty()) merged.push_back({1, 1, 1});
  return merged;
}

template <class Word>
void copy_run(int64_t count, const Word* from, int64_t from_stride, Word* to, int64_t to_stride) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(Word));
  } else if (from_stride == 0 && to_stride == 1) {
    std::fill_n(to, count, *from);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

// Both inner loops together in square tiles: where neither side is dense along one of them, a
// transposition still touches each cache line once.
template <class Word>
void copy_plane(const CopyLoop& outer, const CopyLoop& inner, const Word* from, Word* to) {
  const bool transposes = std::abs(outer.from) < std::abs(inner.from) && outer.from != 0;
  if (!transposes) {
    for (int64_t i = 0; i < outer.size; ++i) {
      copy_run(inner.size, from + i * outer.from, inner.from, to + i * outer.to, inner.to);
    }
    return;
  }
  constexpr int64_t kTile = 32;
  for (int64_t i0 = 0; i0 < outer.size; i0 += kTile) {
    const int64_t i1 = std::min(outer.size, i0 + kTile);
    for (int64_t j0 = 0; j0 < inner.size; j0 += kTile) {
      const int64_t count = std::min(kTile, inner.size - j0);
      for (int64_t i = i0; i < i1; ++i) {
        copy_run(count, from + i * outer.from + j0 * inner.from, inner.from,
                 to + i * outer.to + j0 * inner.to, inner.to);
      }
    }
  }
}

template <class Word>
void copy_part(const CopyLoop* loops, size_t depth, const Word* from, Word* to) {
  if (depth == 1) return copy_run(loops[0].size, from, loops[0].from, to, loops[0].to);
  if (depth == 2) return copy_plane(loops[0], loops[1], from, to);
  for (int64_t i = 0; i < loops[0].size; ++i) {
    copy_part(loops + 1, depth - 1, from + i * loops[0].from, to + i * loops[0].to);
  }
}

template <class Word>
void copy_words(const CopyLoops& loops, const Word* from, Word* to) {
  const CopyLoop& only = loops[0];
  if (loops.size() == 1 && only.from == 0 && only.to == 1 &&
      only.size * static_cast<int64_t>(sizeof(Word)) >= kStreamingBytes) {
    parallel_for(only.size, kGrain, [&](int64_t begin, int64_t end) {
      stream_fill(from, sizeof(Word), to + begin, end - begin);
    });
    return;
  }
  int64_t inner = 1;
  for (size_t i = 1; i < loops.size(); ++i) inner *= loops[i].size;
  const CopyLoop outer = loops[0];
  if (inner == 0) return;
  parallel_for(outer.size, std::max<int64_t>(1, kGrain / inner), [&](int64_t begin, int64_t end) {
    CopyLoops part = loops;
    part[0].size = end - begin;
    copy_part(part.data(), part.size(), from + begin * outer.from, to + begin * outer.to);
  });
}

Shape clamped_starts(const char* operation, std::span<const int64_t> shape,
                     std::span<const int64_t> sizes, std::span<const int64_t> starts) {
  if (shape.size() != sizes.size() || shape.size() != starts.size()) {
    throw ShapeError(std::string(operation) +
                     ": expected as many starts and sizes as dimensions of " + to_string(shape) +
                     ", got starts " + to_string(starts) + " and sizes " + to_string(sizes));
  }
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (sizes[i] > shape[i] || sizes[i] < 0) {
      throw ShapeError(std::string(operation) + ": expected a block no larger than " +
                       to_string(shape) + ", got " + to_string(sizes));
    }
    result.push_back(std::clamp<int64_t>(starts[i], 0, shape[i] - sizes[i]));
  }
  return result;
}

int64_t offset_of(std::span<const int64_t> position, std::span<const int64_t> strides) {
  int64_t offset = 0;
  for (size_t i = 0; i < position.size(); ++i) offset += position[i] * strides[i];
  return offset;
}

const char* advance(const void* data, int64_t elements, size_t element_size) {
  return static_cast<const char*>(data) + elements * static_cast<int64_t>(element_size);
}
char* advance(void* data, int64_t elements, size_t element_size) {
  return static_cast<char*>(data) + elements * static_cast<int64_t>(element_size);
}

}  // namespace

void strided_copy(size_t element_size, std::span<const int64_t> shape, const void* from,
                  std::span<const int64_t> from_strides, void* to,
                  std::span<const int64_t> to_strides) {
  if (element_count(shape) == 0) return;
  if (element_size == 16) {
    return strided_copy(8, paired_shape(shape), from, paired_strides(from_strides), to,
                        paired_strides(to_strides));
  }
  if (copy_transposed(element_size, shape, from, from_strides, to, to_strides)) return;
  const CopyLoops loops = copy_loops(shape, from_strides, to_strides);
  switch (element_size) {
    case 1:
      return copy_words(loops, static_cast<const uint8_t*>(from), static_cast<uint8_t*>(to));
    case 2:
      return copy_words(loops, static_cast<const uint16_t*>(from), static_cast<uint16_t*>(to));
    case 4:
      return copy_words(loops, static_cast<const uint32_t*>(from), static_cast<uint32_t*>(to));
    case 8:
      return copy_words(loops, static_cast<const uint64_t*>(from), static_cast<uint64_t*>(to));
    default:
      break;
  }
  throw ValueError("strided_copy: expected elements of 1, 2, 4, 8 or 16 bytes, got " +
                   std::to_string(element_size));
}

void strided_fill(size_t element_size, std::span<const int64_t> shape, const void* value, void* to,
                  std::span<const int64_t> to_strides) {
  strided_copy(element_size, shape, value, Strides(shape.size(), 0), to, to_strides);
}

void dynamic_slice(DType dtype, const void* data, std::span<const int64_t> shape,
                   std::span<const int64_t> strides, std::span<const int64_t> starts,
                   std::span<const int64_t> sizes, void* out) {
  const Shape begin = clamped_starts("dynamic_slice", shape, sizes, starts);
  const size_t size = size_of(dtype);
  strided_copy(size, sizes, advance(data, offset_of(begin, strides), size), strides, out,
               dense_strides(sizes));
}

void dynamic_update_slice(DType dtype, void* out, std::span<const int64_t> shape,
                          const void* update, std::span<const int64_t> update_shape,
                          std::span<const int64_t> update_strides,
                          std::span<const int64_t> starts) {
  const Shape begin = clamped_starts("dynamic_update_slice", shape, update_shape, starts);
  const Strides strides = dense_strides(shape);
  const size_t size = size_of(dtype);
  strided_copy(size, update_shape, update, update_strides,
               advance(out, offset_of(begin, strides), size), strides);
}

void pad(DType dtype, const void* data, std::span<const int64_t> shape,
         std::span<const int64_t> strides, std::span<const PadDimension> padding, const void* value,
         void* out) {
  Shape out_shape, kept;
  for (size_t i = 0; i < shape.size(); ++i) {
    const PadDimension& p = padding[i];
    out_shape.push_back(std::max<int64_t>(
        0, p.low + shape[i] + std::max<int64_t>(shape[i] - 1, 0) * p.interior + p.high));
  }
  const Strides out_strides = dense_strides(out_shape);
  strided_fill(size_of(dtype), out_shape, value, out, out_strides);
  // Element i of a dimension lands at low + i * step; those inside the result are first..last.
  int64_t from = 0, to = 0;
  Strides to_strides;
  for (size_t i = 0; i < shape.size(); ++i) {
    const PadDimension& p = padding[i];
    const int64_t step = p.interior + 1;
    const int64_t first = p.low >= 0 ? 0 : (-p.low + step - 1) / step;
    const int64_t room = out_shape[i] - 1 - p.low;
    const int64_t last = room < 0 ? -1 : std::min(shape[i] - 1, room / step);
    kept.push_back(std::max<int64_t>(0, last - first + 1));
    from += first * strides[i];
    to += (p.low + first * step) * out_strides[i];
    to_strides.push_back(step * out_strides[i]);
  }
  if (element_count(kept) == 0) return;
  const size_t size = size_of(dtype);
  strided_copy(size, kept, advance(data, from, size), strides, advance(out, to, size), to_strides);
}

void concatenate_part(DType dtype, const void* part, std::span<const int64_t> part_strides,
                      int64_t size, std::span<const int64_t> out_shape, int64_t axis,
                      int64_t offset, void* out) {
  const Strides out_strides = dense_strides(out_shape);
  Shape shape(out_shape);
  shape[static_cast<size_t>(axis)] = size;
  const size_t bytes = size_of(dtype);
  strided_copy(bytes, shape, part, part_strides,
               advance(out, offset * out_strides[static_cast<size_t>(axis)], bytes), out_strides);
}

void iota(DType dtype, std::span<const int64_t> shape, int64_t axis, void* out) {
  const int64_t length = shape[static_cast<size_t>(axis)];
  int64_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < shape.size(); ++i) inner *= shape[i];
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(element_count(shape), kGrain, [&](int64_t begin, int64_t end) {
      T* to = static_cast<T*>(out);
      for (int64_t i = begin; i < end; ++i) to[i] = convert_element<T>(i / inner % length);
    });
  });
}

}  // namespace linnet::cpu
