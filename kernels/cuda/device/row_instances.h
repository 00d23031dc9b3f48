// Lists of the instances that kernels over rows come in.
//
//   X(name, dtype, T, threads of a block, threads of a row, elements of an access, accesses)
//
// Best first. A row has at most threads * elements * accesses elements; 0 accesses: any number.
// `dtype` is the name of T in `DType`.
#pragma once

// The row is kept in registers, or read again where it is too long.
#define LINNET_ROWS_16(X, prefix, name, dtype, T)             \
  X(prefix##_##name##_warp_1, dtype, T, 128, 32, 8, 1)        \
  X(prefix##_##name##_warp_4, dtype, T, 128, 32, 8, 4)        \
  X(prefix##_##name##_block, dtype, T, 256, 256, 8, 4)        \
  X(prefix##_##name##_any_vector, dtype, T, 1024, 1024, 8, 0) \
  X(prefix##_##name##_warp_scalar, dtype, T, 128, 32, 1, 8)   \
  X(prefix##_##name##_any_scalar, dtype, T, 512, 512, 1, 0)
// `most` accesses by 256 threads.
#define LINNET_ROWS_32(X, prefix, most)                     \
  X(prefix##_f32_warp_1, kF32, float, 128, 32, 4, 1)        \
  X(prefix##_f32_warp_8, kF32, float, 128, 32, 4, 8)        \
  X(prefix##_f32_block, kF32, float, 256, 256, 4, most)     \
  X(prefix##_f32_any_vector, kF32, float, 1024, 1024, 4, 0) \
  X(prefix##_f32_warp_scalar, kF32, float, 128, 32, 1, 8)   \
  X(prefix##_f32_any_scalar, kF32, float, 512, 512, 1, 0)
#define LINNET_ROWS_64(X, prefix)                          \
  X(prefix##_f64_warp_scalar, kF64, double, 128, 32, 1, 8) \
  X(prefix##_f64_any_scalar, kF64, double, 512, 512, 1, 0)
#define LINNET_KEPT_ROWS(X, prefix, most)      \
  LINNET_ROWS_16(X, prefix, bf16, kBF16, Bf16) \
  LINNET_ROWS_16(X, prefix, f16, kF16, Half)   \
  LINNET_ROWS_32(X, prefix, most)              \
  LINNET_ROWS_64(X, prefix)

// One pass over rows, which are not kept.
#define LINNET_ONE_PASS_ROWS_OF(X, prefix, name, dtype, T, pack) \
  X(prefix##_##name##_warp, dtype, T, 128, 32, pack, 0)          \
  X(prefix##_##name##_block, dtype, T, 512, 512, pack, 0)        \
  X(prefix##_##name##_warp_scalar, dtype, T, 128, 32, 1, 0)      \
  X(prefix##_##name##_block_scalar, dtype, T, 512, 512, 1, 0)
#define LINNET_ONE_PASS_ROWS(X, prefix)                    \
  LINNET_ONE_PASS_ROWS_OF(X, prefix, bf16, kBF16, Bf16, 8) \
  LINNET_ONE_PASS_ROWS_OF(X, prefix, f16, kF16, Half, 8)   \
  LINNET_ONE_PASS_ROWS_OF(X, prefix, f32, kF32, float, 4)  \
  X(prefix##_f64_warp_scalar, kF64, double, 128, 32, 1, 0) \
  X(prefix##_f64_block_scalar, kF64, double, 512, 512, 1, 0)

// X(name, dtype, T)
#define LINNET_FLOATING_TYPES(X, prefix) \
  X(prefix##_bf16, kBF16, Bf16)          \
  X(prefix##_f16, kF16, Half)            \
  X(prefix##_f32, kF32, float)           \
  X(prefix##_f64, kF64, double)

// X(name, dtype, T, elements of an access), best first
#define LINNET_FLOATING_ACCESSES(X, prefix) \
  X(prefix##_bf16_vector, kBF16, Bf16, 8)   \
  X(prefix##_bf16_scalar, kBF16, Bf16, 1)   \
  X(prefix##_f16_vector, kF16, Half, 8)     \
  X(prefix##_f16_scalar, kF16, Half, 1)     \
  X(prefix##_f32_vector, kF32, float, 4)    \
  X(prefix##_f32_scalar, kF32, float, 1)    \
  X(prefix##_f64_scalar, kF64, double, 1)
