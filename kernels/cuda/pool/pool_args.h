// Parameters and names of window reductions and of selections by window.
#pragma once

#include "kernels/cuda/device/kinds.h"
#include "kernels/cuda/device/walk.h"

namespace linnet::cuda {

inline constexpr int kPoolThreads = 256;
/// Dimensions that windows slide over; those before them are a batch, those behind are channels.
inline constexpr int kPoolRank = 3;

/// Channels of a thread of a selection, in 16 bytes at most: with more, their state does not fit
/// the registers.
inline constexpr int kSelectMostPack = 8;

/// A dimension that windows slide over. Position t of window o lies at o stride - low + t dilation
/// between elements that are `base` apart.
struct PoolDimension {
  int32_t in, out, window, stride, low, base, dilation;
  int32_t in_stride, out_stride;  // in elements, of dense operands
};

/// Where a thread's channels lie. x [batch, in…, channels] and y [batch, out…, channels] are dense.
struct PoolShape {
  PoolDimension dimension[kPoolRank];
  PositionDivisor channels;       // in packs
  PositionDivisor in[kPoolRank];  // sizes
  PositionDivisor out[kPoolRank];
  int64_t in_batch, out_batch;  // elements of one of the batch
  int64_t in_count, out_count;  // packs of all
  bool packed;                  // channels in packs
};

struct PoolArgs {
  static constexpr unsigned kPointers = 2;
  Global<const void> x;
  Global<void> y;
  PoolShape shape;
  Fold kind;
};

struct SelectArgs {
  static constexpr unsigned kPointers = 3;
  Global<const void> x;       // what decides
  Global<const void> values;  // like y, or, for the gather, like x
  Global<void> to;            // like x, or, for the gather, like y
  PoolShape shape;
  bool maximum;
};

/// X(name, T)
#define LINNET_POOL_KERNELS(X) \
  X(f32, float)                \
  X(bf16, Bf16)                \
  X(f16, Half)                 \
  X(f64, double)               \
  X(i8, int8_t)                \
  X(i16, int16_t)              \
  X(i32, int32_t) X(i64, int64_t) X(u8, uint8_t) X(u16, uint16_t) X(u32, uint32_t) X(u64, uint64_t)
#define LINNET_SELECT_KERNELS(X) \
  X(f32, float) X(bf16, Bf16) X(f16, Half) X(f64, double) X(i32, int32_t)

}  // namespace linnet::cuda
