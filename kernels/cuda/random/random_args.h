// Parameters and instances of the kernels of random numbers, all in the partitionable layout.
#pragma once

#include "kernels/cuda/device/global.h"
#include "kernels/cuda/device/row_instances.h"

namespace linnet::cuda {

/// `count` numbers from each key, key by key.
struct RandomBitsArgs {
  static constexpr unsigned kPointers = 2;
  Global<const unsigned> keys;
  Global<void> out;
  long long keys_count, count;
};

struct FoldInArgs {
  static constexpr unsigned kPointers = 3;
  Global<const unsigned> keys, data;
  Global<unsigned> out;
  long long keys_count;
};

/// low + span u for u in [0, 1); for normal numbers that is what the error function is inverted at,
/// and results are kept from `least` to `most`. All are numbers of the results' type.
struct SamplerArgs {
  static constexpr unsigned kPointers = 2;
  Global<const unsigned> keys;
  Global<void> out;
  long long keys_count, count;
  double low, span, least, most;
};

/// y = x / keep where the bits of the position are below the threshold, else 0.
struct DropoutArgs {
  static constexpr unsigned kPointers = 4;
  Global<const void> x;
  Global<const unsigned> key;
  Global<void> y;
  Global<unsigned char> mask;
  long long count;
  double keep;
  int threshold;
  int aligned;  ///< x begins at a multiple of the size of four elements
};

/// 1 where the bits of a key's position are below the threshold, else 0: `count` from each key.
struct DropoutFactorsArgs {
  static constexpr unsigned kPointers = 2;
  Global<const unsigned> keys;
  Global<void> out;
  long long keys_count, count;
  int threshold;
};

inline constexpr int kRandomThreads = 256;
/// Elements that follow each other which a thread makes.
inline constexpr int kRandomPerThread = 4;

}  // namespace linnet::cuda

// X(name, bytes, type of an element)
#define LINNET_RANDOM_BITS_KERNELS(X) \
  X(random_bits_8, 1, uint8_t)        \
  X(random_bits_16, 2, uint16_t)      \
  X(random_bits_32, 4, uint32_t)      \
  X(random_bits_64, 8, uint64_t)
// A pair of words, a key, is written as one element.
#define LINNET_RANDOM_SPLIT_KERNELS(X) X(random_split, 8, uint64_t)
#define LINNET_RANDOM_UNIFORM_KERNELS(X) LINNET_FLOATING_TYPES(X, random_uniform)
#define LINNET_RANDOM_NORMAL_KERNELS(X) LINNET_FLOATING_TYPES(X, random_normal)
#define LINNET_DROPOUT_KERNELS(X) LINNET_FLOATING_TYPES(X, dropout)
#define LINNET_DROPOUT_FACTORS_KERNELS(X) \
  X(dropout_factors_bf16, kBF16, Bf16)    \
  X(dropout_factors_f16, kF16, Half)      \
  X(dropout_factors_f32, kF32, float)
