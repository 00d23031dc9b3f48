// Numbers that two programs agree on without sharing a library: the same weights, images and labels
// for Linnet and for whatever it is compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace workload {

/// `count` values, uniform in [-bound, bound), from splitmix64 (Steele, Lea and Flood, 2014).
inline std::vector<float> uniform(uint64_t seed, size_t count, float bound) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t z = (seed << 32) + (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    values[i] = (static_cast<float>(z >> 40) * 0x1p-23f - 1) * bound;
  }
  return values;
}

/// Values in [-3, 3) that no vectoriser can guess.
inline std::vector<float> spread(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 7919 % 6000) * 0.001f - 3;
  return values;
}

/// Sizes of the multilayer perceptron and of its batch.
constexpr int64_t kBatch = 64, kLayers[] = {784, 256, 128, 10};

/// Steps after which the two programs compare their losses.
constexpr int kGateSteps = 20;

/// Class of example `i`.
constexpr int64_t label(int64_t i) { return i * 7 % 10; }

}  // namespace workload
