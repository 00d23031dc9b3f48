// Gamma and Poisson numbers, which are drawn by rejection (specification: docs/rng.md,
// sections 5.5, 5.6). `…_workspace` gives the bytes of the workspace, aligned to 64.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/random/threefry.h"
#include "linnet/dtype.h"

namespace linnet::cpu {

/// out[key, i] = a gamma number of shape parameter a[key, i], or its logarithm, for `count`
/// elements of each key. `dtype` of `a` and `out` is f32 or f64.
/// @throws DTypeError for another dtype.
void random_gamma(DType dtype, const uint32_t* keys, int64_t key_count, int64_t count,
                  const void* a, bool logarithm, KeyLayout layout, void* out, void* workspace);
size_t gamma_workspace(int64_t key_count, int64_t count);

/// out[key, i] = a Poisson number of mean rate[key, i]; -1 where the rate is negative, NaN or
/// infinite.
void random_poisson(const uint32_t* keys, int64_t key_count, int64_t count, const float* rate,
                    KeyLayout layout, int64_t* out, void* workspace);
size_t poisson_workspace(int64_t key_count, int64_t count, KeyLayout layout);

}  // namespace linnet::cpu
