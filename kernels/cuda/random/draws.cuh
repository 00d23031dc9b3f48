// The frame of kernels that make numbers from keys and positions.
#pragma once

#include "kernels/cuda/device/random.h"
#include "kernels/cuda/device/wide.h"
#include "kernels/cuda/random/random_args.h"

namespace linnet::cuda {

/// The elements of a thread, at once or in two parts.
template <class T>
LINNET_DEVICE Pack<T, kRandomPerThread> load_run(const T* at) {
  constexpr int kPart = kRandomPerThread < kPack<T> ? kRandomPerThread : kPack<T>;
  Pack<T, kRandomPerThread> x;
  LINNET_UNROLL
  for (int i = 0; i < kRandomPerThread; i += kPart) {
    const Pack<T, kPart> part = load_pack<kPart>(at + i);
    LINNET_UNROLL
    for (int j = 0; j < kPart; ++j) x[i + j] = part[j];
  }
  return x;
}
/// Elements of a thread are stored at once where they are all there, unless the result is one of
/// many that lie side by side, which begin anywhere.
template <class T>
LINNET_DEVICE void store_run(T* out, int64_t at, int64_t total,
                             const Pack<T, kRandomPerThread>& x) {
  constexpr int kPart = kRandomPerThread < kPack<T> ? kRandomPerThread : kPack<T>;
  const bool aligned = reinterpret_cast<uint64_t>(out) % (sizeof(T) * kPart) == 0;
  if (aligned && at + kRandomPerThread <= total) {
    LINNET_UNROLL
    for (int i = 0; i < kRandomPerThread; i += kPart) {
      Pack<T, kPart> part;
      LINNET_UNROLL
      for (int j = 0; j < kPart; ++j) part[j] = x[i + j];
      store_pack<kPart>(out + at + i, part);
    }
  } else {
    for (int i = 0; i < kRandomPerThread && at + i < total; ++i) out[at + i] = x[i];
  }
}

/// out[key, position] = draw(key, position) for all keys and `count` positions of each.
template <class T, class Draw>
LINNET_DEVICE void draw_numbers(const uint32_t* keys, int64_t key_count, int64_t count, T* out,
                                const Draw& draw) {
  const int64_t total = key_count * count;
  const int64_t at = (int64_t{block_x()} * kRandomThreads + thread()) * kRandomPerThread;
  if (at >= total) return;
  int64_t index = key_count == 1 ? 0 : at / count, position = at - index * count;
  WordPair key = load_key(keys, index);
  Pack<T, kRandomPerThread> numbers;
  LINNET_UNROLL
  for (int i = 0; i < kRandomPerThread; ++i) {
    numbers[i] = draw(key, static_cast<uint64_t>(position));
    if (++position == count && at + i + 1 < total) {
      position = 0;
      key = load_key(keys, ++index);
    }
  }
  store_run(out, at, total, numbers);
}

}  // namespace linnet::cuda
