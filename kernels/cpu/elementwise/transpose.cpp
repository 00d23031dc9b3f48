#include "kernels/cpu/elementwise/transpose.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/streaming.h"
#include "kernels/cpu/vector/targets.h"
#include "linnet/parallel.h"
#include "linnet/small_vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise/transpose.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

#ifndef LINNET_CPU_TRANSPOSE_BLOCK
#define LINNET_CPU_TRANSPOSE_BLOCK
namespace linnet::cpu {

/// Elements of the longest side of a block: a quarter of a KiB of each row or column, so that lines
/// and pages of both sides are visited once, in a block that fits the first-level cache.
template <class T>
constexpr int64_t kBlockSide = sizeof(T) <= 2 ? 128 : 64;

/// to[r * to_stride + c] = from[c * from_stride + r] for r < rows, c < columns.
struct TransposeBlock {
  const void* from;
  int64_t from_stride;
  void* to;
  int64_t to_stride;
  int64_t rows, columns;
  bool streaming;  ///< past the caches where the destination is aligned
};

}  // namespace linnet::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE
// Elements one by one: no block has a tile's rows.
template <class T>
constexpr int64_t kTileRows = kBlockSide<T> + 1;
template <class T>
constexpr int64_t kTileColumns = 1;
template <class T>
HWY_INLINE void transpose_tile(const T*, int64_t, T*, int64_t, bool) {}
#else
template <class T>
constexpr int64_t kTileRows = 16 / sizeof(T);
template <class T>
constexpr int64_t kTileColumns = hn::MaxLanes(hn::ScalableTag<T>());

/// A vector of kTileRows elements each of 1, 2 or 4 columns that are kTileRows apart.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_columns(D d, const T* from, int64_t stride) {
  if constexpr (hn::MaxLanes(D()) == kTileRows<T>) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    constexpr int64_t kColumns = static_cast<int64_t>(hn::MaxLanes(D())) / kTileRows<T>;
    return hn::Combine(d, load_columns(half, from + kColumns / 2 * kTileRows<T> * stride, stride),
                       load_columns(half, from, stride));
  }
}

/// kTileRows rows of one vector each. Column i of a 16-byte block and those kTileRows further in
/// the other blocks are one vector; interleaving halves log2 times then turns all blocks over.
template <class T>
HWY_INLINE void transpose_tile(const T* from, int64_t from_stride, T* to, int64_t to_stride,
                               bool streaming) {
  constexpr int64_t kRows = kTileRows<T>;
  const hn::ScalableTag<T> d;
  hn::Vec<decltype(d)> v[kRows], w[kRows];
  for (int64_t i = 0; i < kRows; ++i) v[i] = load_columns(d, from + i * from_stride, from_stride);
  for (int64_t done = 1; done < kRows; done *= 2) {
    for (int64_t i = 0; i < kRows / 2; ++i) {
      w[2 * i] = hn::InterleaveLower(d, v[i], v[i + kRows / 2]);
      w[2 * i + 1] = hn::InterleaveUpper(d, v[i], v[i + kRows / 2]);
    }
    for (int64_t i = 0; i < kRows; ++i) v[i] = w[i];
  }
  for (int64_t i = 0; i < kRows; ++i) {
    if (streaming)
      hn::Stream(v[i], d, to + i * to_stride);
    else
      hn::StoreU(v[i], d, to + i * to_stride);
  }
}
#endif

/// Through a small array with lines that do not fall into one set of the cache, as those of a
/// matrix whose rows are a power of two bytes do.
template <class T>
void transpose_block(const TransposeBlock& b) {
  constexpr int64_t kSide = kBlockSide<T>;
  constexpr int64_t kPitch = kSide + 64 / static_cast<int64_t>(sizeof(T));
  HWY_ALIGN T block[kSide * kPitch];
  const T* from = static_cast<const T*>(b.from);
  T* to = static_cast<T*>(b.to);
  for (int64_t c = 0; c < b.columns; ++c)
    std::memcpy(block + c * kPitch, from + c * b.from_stride,
                static_cast<size_t>(b.rows) * sizeof(T));
  const int64_t rows = b.rows / kTileRows<T> * kTileRows<T>;
  const int64_t columns = b.columns / kTileColumns<T> * kTileColumns<T>;
  constexpr size_t kVector = kTileColumns<T> * sizeof(T);
  const bool streaming = b.streaming && reinterpret_cast<uintptr_t>(to) % kVector == 0 &&
                         static_cast<size_t>(b.to_stride) * sizeof(T) % kVector == 0;
  for (int64_t r = 0; r < rows; r += kTileRows<T>) {
    for (int64_t c = 0; c < columns; c += kTileColumns<T>)
      transpose_tile(block + c * kPitch + r, kPitch, to + r * b.to_stride + c, b.to_stride,
                     streaming);
  }
  for (int64_t r = 0; r < b.rows; ++r) {
    for (int64_t c = r < rows ? columns : 0; c < b.columns; ++c)
      to[r * b.to_stride + c] = block[c * kPitch + r];
  }
}

void Transpose(size_t element_size, const TransposeBlock& block) {
  switch (element_size) {
    case 1:
      return transpose_block<uint8_t>(block);
    case 2:
      return transpose_block<uint16_t>(block);
    case 4:
      return transpose_block<uint32_t>(block);
    default:
      return transpose_block<uint64_t>(block);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet::cpu {
namespace {

HWY_EXPORT(Transpose);

constexpr int64_t kLeastSide = 8;

struct Loop {
  int64_t size, from, to;
};

/// The matrices of a copy: their rows, along which the source is dense, their columns, along which
/// the destination is, and the dimensions around them.
struct Matrices {
  Loop rows{1, 1, 0}, columns{1, 0, 1};
  SmallVector<Loop, 6> around;
  bool found = false;

  Matrices(std::span<const int64_t> shape, std::span<const int64_t> from,
           std::span<const int64_t> to) {
    for (size_t d = shape.size(); d-- > 0;) {
      if (shape[d] == 1) continue;
      const Loop loop{shape[d], from[d], to[d]};
      if (columns.size == 1 && loop.to == 1 && loop.from != 1) {
        columns = loop;
      } else if (rows.size == 1 && loop.from == 1 && loop.to > 1) {
        rows = loop;
      } else if (!continues(rows, loop) && !continues(columns, loop) &&
                 (around.empty() || !continues(around.back(), loop))) {
        around.push_back(loop);
      }
    }
    found = columns.from > 1 && rows.size >= kLeastSide && columns.size >= kLeastSide;
  }

  /// Lengthens `inner` by the loop around it if both sides run on without a jump.
  static bool continues(Loop& inner, const Loop& outer) {
    if (inner.size == 1 || outer.from != inner.from * inner.size ||
        outer.to != inner.to * inner.size)
      return false;
    inner.size *= outer.size;
    return true;
  }
};

}  // namespace

bool copy_transposed(size_t element_size, std::span<const int64_t> shape, const void* from,
                     std::span<const int64_t> from_strides, void* to,
                     std::span<const int64_t> to_strides) {
  const Matrices m(shape, from_strides, to_strides);
  if (!m.found) return false;
  const int64_t size = static_cast<int64_t>(element_size);
  const int64_t side = element_size <= 2 ? kBlockSide<uint16_t> : kBlockSide<uint64_t>;
  const int64_t strips = (m.rows.size + side - 1) / side;
  const int64_t blocks = (m.columns.size + side - 1) / side;
  int64_t matrices = 1;
  for (const Loop& loop : m.around) matrices *= loop.size;
  const int64_t elements = matrices * m.rows.size * m.columns.size;
  const bool streaming = elements * size >= kStreamingBytes;
  const int64_t total = matrices * strips * blocks;
  const int64_t grain = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, elements / total));
  parallel_for(total, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % blocks * side, row = i / blocks % strips * side;
      int64_t from_offset = row + column * m.columns.from, to_offset = row * m.rows.to + column;
      int64_t matrix = i / blocks / strips;
      for (const Loop& loop : m.around) {
        from_offset += matrix % loop.size * loop.from;
        to_offset += matrix % loop.size * loop.to;
        matrix /= loop.size;
      }
      HWY_DYNAMIC_DISPATCH(Transpose)
      (element_size,
       {static_cast<const char*>(from) + from_offset * size, m.columns.from,
        static_cast<char*>(to) + to_offset * size, m.rows.to, std::min(side, m.rows.size - row),
        std::min(side, m.columns.size - column), streaming});
    }
    if (streaming) flush_streams();
  });
  return true;
}

}  // namespace linnet::cpu
#endif  // HWY_ONCE
