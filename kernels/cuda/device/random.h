// Threefry-2x32 on the device (specification: docs/rng.md, section 2): what the processor's kernels
// draw, bit for bit.
//
//   const uint32_t word = random_word({key[0], key[1]}, position);
#pragma once

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

/// A key, or the two words that a counter becomes.
struct WordPair {
  uint32_t high, low;
};

namespace threefry {

template <int left>
LINNET_DEVICE void round_once(WordPair& x) {
  x.high += x.low;
  x.low = (x.low << left | x.low >> (32 - left)) ^ x.high;
}
template <int a, int b, int c, int d>
LINNET_DEVICE void four_rounds(WordPair& x, uint32_t first, uint32_t second) {
  round_once<a>(x);
  round_once<b>(x);
  round_once<c>(x);
  round_once<d>(x);
  x.high += first;
  x.low += second;
}

}  // namespace threefry

/// The block function: 20 rounds.
LINNET_DEVICE WordPair threefry2x32(WordPair key, WordPair counter) {
  const uint32_t k0 = key.high, k1 = key.low, k2 = k0 ^ k1 ^ 0x1BD11BDAu;
  WordPair x{counter.high + k0, counter.low + k1};
  threefry::four_rounds<13, 15, 26, 6>(x, k1, k2 + 1);
  threefry::four_rounds<17, 29, 16, 24>(x, k2, k0 + 2);
  threefry::four_rounds<13, 15, 26, 6>(x, k0, k1 + 3);
  threefry::four_rounds<17, 29, 16, 24>(x, k1, k2 + 4);
  threefry::four_rounds<13, 15, 26, 6>(x, k2, k0 + 5);
  return x;
}

/// The pair of a position, which the partitionable layout counts with 64 bits.
LINNET_DEVICE WordPair random_pair(WordPair key, uint64_t position) {
  return threefry2x32(key,
                      {static_cast<uint32_t>(position >> 32), static_cast<uint32_t>(position)});
}
LINNET_DEVICE uint32_t random_word(WordPair key, uint64_t position) {
  const WordPair pair = random_pair(key, position);
  return pair.high ^ pair.low;
}
LINNET_DEVICE uint64_t random_wide_word(WordPair key, uint64_t position) {
  const WordPair pair = random_pair(key, position);
  return uint64_t{pair.high} << 32 | pair.low;
}

LINNET_DEVICE WordPair load_key(const uint32_t* keys, int64_t index) {
  return {keys[2 * index], keys[2 * index + 1]};
}

}  // namespace linnet::cuda
