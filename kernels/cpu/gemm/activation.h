// The activations a matmul or convolution kernel can apply to its result before storing it.
#pragma once

#include <cstdint>

namespace linnet::cpu {

/// Elementwise function of an epilogue:
/// `kRelu` max(x, 0); `kGeluTanh` x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));
/// `kGeluErf` x/2 (1 + erf(x / sqrt 2)); `kSilu` x / (1 + e^-x); `kTanh`; `kLogistic` 1 / (1 +
/// e^-x).
enum class Activation : uint8_t { kNone, kRelu, kGeluTanh, kGeluErf, kSilu, kTanh, kLogistic };

}  // namespace linnet::cpu
