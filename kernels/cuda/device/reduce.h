// Reductions over the threads of a warp or a block, in an order that the number of threads alone
// decides: results are the same from run to run and from device to device.
//
//   const float total = block_reduce<256>(partial, Sum());
//   const Moments<float> moments = block_reduce<256>(mine, MergeMoments());
//
// Operations are functors over any trivially copyable type whose size is a multiple of four bytes.
// All threads of the warp or block take part, and all get the result.
#pragma once

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

struct Sum {
  template <class T>
  LINNET_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
/// NaN wins.
struct Maximum {
  template <class T>
  LINNET_DEVICE T operator()(T a, T b) const {
    return b > a || b != b ? b : a;
  }
};
struct Minimum {
  template <class T>
  LINNET_DEVICE T operator()(T a, T b) const {
    return b < a || b != b ? b : a;
  }
};

/// Two sums at once.
template <class W>
struct SumPair {
  W first, second;
  LINNET_DEVICE SumPair operator+(const SumPair& other) const {
    return {first + other.first, second + other.second};
  }
};

/// Of `count` numbers: their mean, and the sum of squared deviations from it.
template <class W>
struct Moments {
  W count, mean, squares;
};
/// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
/// variances", 1979.
struct MergeMoments {
  template <class W>
  LINNET_DEVICE Moments<W> operator()(const Moments<W>& a, const Moments<W>& b) const {
    if (b.count == W(0)) return a;
    if (a.count == W(0)) return b;
    const W count = a.count + b.count, share = b.count / count, apart = b.mean - a.mean;
    return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
  }
};

namespace reduction {

/// Words of any type in one shuffle each.
template <class T, class Shuffle>
LINNET_DEVICE T by_words(const T& value, Shuffle shuffle_word) {
  static_assert(sizeof(T) % 4 == 0, "shuffles move words of four bytes");
  struct Words {
    uint32_t word[sizeof(T) / 4];
  };
  Words words = __builtin_bit_cast(Words, value);
  LINNET_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof(T) / 4); ++i)
    words.word[i] = shuffle_word(words.word[i]);
  return __builtin_bit_cast(T, words);
}
struct ShuffleXor {
  int lanes;
  LINNET_DEVICE uint32_t operator()(uint32_t word) const { return shuffle_xor(word, lanes); }
};
struct ShuffleFrom {
  int from;
  LINNET_DEVICE uint32_t operator()(uint32_t word) const { return shuffle(word, from); }
};

}  // namespace reduction

/// `value` of the lane whose number differs in the bits of `lanes`.
template <class T>
LINNET_DEVICE T exchange(const T& value, int lanes) {
  return reduction::by_words(value, reduction::ShuffleXor{lanes});
}
/// `value` of one lane.
template <class T>
LINNET_DEVICE T broadcast(const T& value, int from_lane) {
  return reduction::by_words(value, reduction::ShuffleFrom{from_lane});
}

/// Over each `kLanes` neighbouring lanes, a power of two. The lower lane is always the left
/// operand, so that all lanes get the same bits also where the operation does not commute.
template <int kLanes = kWarp, class T, class Op>
LINNET_DEVICE T warp_reduce(T value, Op op) {
  LINNET_UNROLL
  for (int lanes = 1; lanes < kLanes; lanes *= 2) {
    const T other = exchange(value, lanes);
    value = (lane() & lanes) == 0 ? op(value, other) : op(other, value);
  }
  return value;
}

/// Over a block of kThreads threads, a multiple of the warp. A barrier comes before and after the
/// result, so that calls may follow each other.
template <int kThreads, class T, class Op>
LINNET_DEVICE T block_reduce(T value, Op op) {
  static_assert(kThreads % kWarp == 0, "whole warps");
  value = warp_reduce(value, op);
  if constexpr (kThreads > kWarp) {
    LINNET_SHARED(T, of_warps, kThreads / kWarp);
    if (lane() == 0) of_warps[warp()] = value;
    sync_block();
    value = of_warps[0];
    LINNET_UNROLL
    for (int i = 1; i < kThreads / kWarp; ++i) value = op(value, of_warps[i]);
    sync_block();
  }
  return value;
}

/// Over kThreads threads that share a row: a warp of a larger block, or the whole block.
template <int kThreads, class T, class Op>
LINNET_DEVICE T row_reduce(T value, Op op) {
  if constexpr (kThreads <= kWarp)
    return warp_reduce<kThreads>(value, op);
  else
    return block_reduce<kThreads>(value, op);
}

}  // namespace linnet::cuda
