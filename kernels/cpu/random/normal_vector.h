// Uniform and normal numbers of f32 from random bits (docs/rng.md, section 4), in vectors.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// out[i] = erf_inv(x[i]), the function of kernels/scalar. `out` may be `x`.
void erf_inv_f32(int64_t count, const float* x, float* out);

/// out[i] = max(low, fma(unit, span, low)), unit the top 23 bits of bits[i] as a fraction in [0,
/// 1).
void uniform_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float* out);

/// out[i] = clamp(sqrt(2) * erf_inv(uniform of bits[i] on [low, low + span)), least, most).
void normal_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float least,
                          float most, float* out);

}  // namespace linnet::cpu
