// Parameters and names of the reductions.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kReduceThreads = 256;

/// How a result is written. The second of two passes reads accumulators and writes elements.
enum class StoreAs : uint8_t { kElement, kAccumulator, kBf16, kHalf, kByte, kTwoBytes };

struct ReduceArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;
  Walk<2> kept;       // results: where their elements begin in x, where they lie in y
  Walk<1> reduced;    // the elements of one result in x
  int64_t results;    // product of kept.size
  int64_t length;     // product of reduced.size
  int64_t part;       // elements that a block takes; a multiple of the pack
  int32_t parts;      // of them; if more than one, part p of result r is written at r parts + p
  int32_t row_lanes;  // rows: threads of a result, a warp or the block
  int32_t groups;     // columns: threads of a result, 1 or 8
  Fold kind;          // for the kernels of all kinds
  StoreAs store;
  bool packed;  // x is read in packs, along elements (rows) or results (columns)
};

/// X(name, T, kind): kernels that know what they do, for what is done all the time.
#define LINNET_REDUCE_FIXED(X) \
  X(sum_f32, float, kSum)      \
  X(max_f32, float, kMax)      \
  X(sum_bf16, Bf16, kSum)      \
  X(max_bf16, Bf16, kMax)      \
  X(sum_f16, Half, kSum)       \
  X(max_f16, Half, kMax)

/// X(name, T): kernels that are told.
#define LINNET_REDUCE_GIVEN(X) \
  X(f32, float)                \
  X(bf16, Bf16)                \
  X(f16, Half)                 \
  X(f64, double)               \
  X(i8, int8_t)                \
  X(i16, int16_t)              \
  X(i32, int32_t)              \
  X(i64, int64_t)              \
  X(u8, uint8_t)               \
  X(u16, uint16_t)             \
  X(u32, uint32_t)             \
  X(u64, uint64_t)

}  // namespace linnet::cuda
