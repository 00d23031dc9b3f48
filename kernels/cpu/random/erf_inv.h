// The error function and its inverse as the samplers define them (docs/rng.md, section 4 and
// appendix B).
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Rational approximation of erf for |x| < 3.83, fused Horner steps.
float erf_f32(float x);

/// Inverse error function in double: three-piece polynomial of -log(1 - x^2); infinite at |x| = 1.
double erf_inv_f64(double x);

/// out[i] = erf_inv(x[i]) in float: Giles' two-piece polynomial with the Horner steps fused and
/// nothing else. `out` may be `x`.
void erf_inv_f32(int64_t count, const float* x, float* out);

/// out[i] = max(low, fma(unit, span, low)), unit the top 23 bits of bits[i] as a fraction in [0,
/// 1).
void uniform_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float* out);

/// out[i] = clamp(sqrt(2) * erf_inv(uniform of bits[i] on [low, low + span)), least, most).
void normal_from_bits_f32(int64_t count, const uint32_t* bits, float low, float span, float least,
                          float most, float* out);

}  // namespace linnet::cpu
