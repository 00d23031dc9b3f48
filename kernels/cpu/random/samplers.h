// Uniform, normal and truncated normal numbers (specification: docs/rng.md, sections 3 to 5.1).
//
//   uint32_t key[2] = {0, 1701};  float x[6];
//   cpu::random_normal(DType::kF32, key, 1, 6, KeyLayout::kPartitionable, x, nullptr);
//
// Sampling happens in the dtype asked for: a bf16 number is not the rounded f32 number of the same
// key. All functions fill out [key_count, count] of `dtype`, a floating type, and throw DTypeError
// for others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/random/threefry.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// Numbers in [low, high); rounding can produce `high` itself. The bounds are rounded to the dtype
/// first.
void random_uniform(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count, double low,
                    double high, KeyLayout layout, void* out, void* workspace);

/// Standard normal numbers by inversion of the error function.
void random_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                   KeyLayout layout, void* out, void* workspace);

/// Standard normal numbers restricted to the open interval (lower, upper).
void random_truncated_normal(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                             double lower, double upper, KeyLayout layout, void* out,
                             void* workspace);

/// Bytes of the workspace of each of them, aligned to 64; 0 in the partitionable layout.
size_t sampler_workspace(DType dtype, int64_t key_count, int64_t count, KeyLayout layout);
/// Enough for one number.
inline constexpr size_t kSamplerWorkspaceOfOne = 192;

}  // namespace linnet::cpu
