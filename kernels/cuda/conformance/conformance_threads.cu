#include "kernels/cuda/conformance/conformance_args.h"
#include "kernels/cuda/device/device.h"

namespace linnet::cuda {
namespace {

/// The word of this thread among those of all blocks, `words` for each.
LINNET_DEVICE int own_words(int words) {
  const int block = (block_z() * blocks_y() + block_y()) * blocks_x() + block_x();
  return (block * block_threads() + thread()) * words;
}

/// Values of any type in words.
template <class T>
LINNET_DEVICE void store(unsigned* at, T value) {
  if constexpr (sizeof(T) == 8) {
    const auto word = __builtin_bit_cast(unsigned long long, value);
    at[0] = static_cast<unsigned>(word);
    at[1] = static_cast<unsigned>(word >> 32);
  } else {
    at[0] = __builtin_bit_cast(unsigned, value);
  }
}

/// Four ways to shuffle by `lanes`, of a value that the lane makes of its word.
template <class T>
LINNET_DEVICE void shuffle_all(unsigned* out, unsigned word, int lanes) {
  constexpr int kWords = sizeof(T) / 4;
  const T value = static_cast<T>(word) * static_cast<T>(sizeof(T) == 8 ? 0x100000001 : 1);
  store(out, shuffle(value, lane() * 7 + lanes));
  store(out + kWords, shuffle_xor(value, lanes));
  store(out + 2 * kWords, shuffle_up(value, lanes));
  store(out + 3 * kWords, shuffle_down(value, lanes));
}

}  // namespace

LINNET_KERNEL(conformance_positions, ConformanceArgs, 96) {
  unsigned* out = args.out.get() + own_words(10);
  const int position[] = {thread(),  lane(),    warp(),     block_threads(), block_x(),
                          block_y(), block_z(), blocks_x(), blocks_y(),      blocks_z()};
  for (int i = 0; i < 10; ++i) out[i] = static_cast<unsigned>(position[i]);
}

// Reversed through an array, turned through dynamic memory.
LINNET_KERNEL(conformance_shared, ConformanceArgs, 256) {
  LINNET_SHARED(unsigned, reversed, 256);
  LINNET_SHARED(unsigned short, halves, 512);
  const int t = thread();
  unsigned* turned = shared_memory<unsigned>();
  reversed[255 - t] = args.in.get()[t];
  halves[t] = static_cast<unsigned short>(t);
  halves[256 + t] = static_cast<unsigned short>(args.in.get()[t]);
  sync_block();
  turned[(t + 7) % 256] = reversed[t];
  const unsigned pair = halves[t ^ 1] + (static_cast<unsigned>(halves[256 + (t ^ 3)]) << 16);
  sync_block();
  args.out.get()[t] = turned[t];
  args.out.get()[256 + t] = pair;
}

// Sums over growing distances: each turn needs both of its barriers.
LINNET_KERNEL(conformance_barriers, ConformanceArgs, 256) {
  LINNET_SHARED(unsigned, sums, 256);
  const int t = thread();
  sums[t] = args.in.get()[t];
  sync_block();
  for (int distance = 1; distance < 256; distance *= 2) {
    const unsigned before = t >= distance ? sums[t - distance] : 0;
    sync_block();
    sums[t] += before;
    sync_block();
  }
  args.out.get()[t] = sums[t];
}

// Each lane shows its word to the next lane of its parity.
LINNET_KERNEL(conformance_sync_warp, ConformanceArgs, 64) {
  LINNET_SHARED(unsigned, words, 64);
  const int t = thread();
  words[t] = args.in.get()[t];
  sync_warp();
  unsigned sum = words[t ^ 1];
  sync_warp();
  words[t] = sum;
  const unsigned mask = lane() % 2 == 0 ? 0x55555555u : 0xaaaaaaaau;
  sync_warp(mask);
  args.out.get()[t] = words[warp() * 32 + (lane() + 2) % 32];
}

LINNET_KERNEL(conformance_shuffles, ConformanceArgs, 64) {
  const unsigned word = args.in.get()[thread()];
  unsigned* out = args.out.get() + thread() * 32;
  shuffle_all<unsigned>(out, word, args.count);
  shuffle_all<int>(out + 4, word, args.count);
  shuffle_all<float>(out + 8, word, args.count);
  shuffle_all<double>(out + 12, word, args.count);
  shuffle_all<long long>(out + 20, word, args.count);
  // Groups of eight lanes at their own operations.
  const unsigned mask = 0xffu << lane() / 8 * 8;
  out[28] = shuffle(word, lane() / 8 * 8 + 3, mask);
  out[29] = shuffle_xor(word, 5, mask);
  out[30] = ballot((word & 1) != 0, mask);
  out[31] = ballot((word & 2) != 0);
}

// Whoever comes first, the sums, bounds and the last of a chain of exchanges are the same.
LINNET_KERNEL(conformance_atomics, ConformanceArgs, 64) {
  const int i = block_x() * 64 + thread();
  const unsigned word = args.in.get()[i];
  unsigned* out = args.out.get();
  atomic_add(out, word);
  atomic_add(reinterpret_cast<int*>(out + 1), -static_cast<int>(word));
  atomic_add(reinterpret_cast<float*>(out + 2), static_cast<float>(word & 255));
  atomic_max(out + 3, word);
  atomic_max(reinterpret_cast<int*>(out + 4), static_cast<int>(word));
  atomic_min(reinterpret_cast<int*>(out + 5), static_cast<int>(word));
  atomic_add(reinterpret_cast<double*>(out + 6), static_cast<double>(word));
  atomic_add(reinterpret_cast<uint64_t*>(out + 8), uint64_t{word} << 8);
  atomic_add(reinterpret_cast<int64_t*>(out + 10), -static_cast<int64_t>(word));
  atomic_max(reinterpret_cast<int64_t*>(out + 12), static_cast<int64_t>(word) << 4);
  atomic_min(reinterpret_cast<int64_t*>(out + 14), -static_cast<int64_t>(word));
  atomic_max(reinterpret_cast<uint64_t*>(out + 16), uint64_t{word} << 32);
  // A product, which has no operation of its own.
  unsigned old = atomic_add(out + 18, 0u);
  for (;;) {
    const unsigned seen = atomic_compare_exchange(out + 18, old, (old + 1) * 3);
    if (seen == old) break;
    old = seen;
  }
  // What is taken out and what stays are all words together.
  atomic_add(out + 19, atomic_exchange(out + 20, word));
  atomic_exchange(reinterpret_cast<float*>(out + 21), 2.5f);
  atomic_exchange(reinterpret_cast<double*>(out + 22), 2.5);
  atomic_compare_exchange(reinterpret_cast<double*>(out + 24), 0.0, 1.5);
}

// What each operation returns: what was there.
LINNET_KERNEL(conformance_atomic_returns, ConformanceArgs, 32) {
  if (thread() != 0) return;
  unsigned* out = args.out.get();
  out[1] = atomic_add(out, 7u);
  out[2] = atomic_max(out, 9u);
  out[3] = atomic_min(out, 4u);
  out[4] = atomic_exchange(out, 11u);
  out[5] = atomic_compare_exchange(out, 10u, 1u);
  out[6] = atomic_compare_exchange(out, 11u, 12u);
  store(out + 7, atomic_add(reinterpret_cast<float*>(out + 8), 1.5f));
  store(out + 9, atomic_add(reinterpret_cast<float*>(out + 8), 2.0f));
}

// Blocks leave their sums; the last one adds them.
LINNET_KERNEL(conformance_fence, ConformanceArgs, 64) {
  LINNET_SHARED(unsigned, words, 64);
  LINNET_SHARED(bool, last, 1);
  unsigned* out = args.out.get();  // the sum, a counter, and a sum for each block
  words[thread()] = args.in.get()[block_x() * 64 + thread()];
  sync_block();
  if (thread() == 0) {
    unsigned sum = 0;
    for (int i = 0; i < 64; ++i) sum += words[i];
    out[2 + block_x()] = sum;
    fence_device();
    last[0] = atomic_add(out + 1, 1u) == static_cast<unsigned>(blocks_x()) - 1;
    fence_device();
  }
  sync_block();
  if (!last[0] || thread() != 0) return;
  unsigned sum = 0;
  for (int i = 0; i < blocks_x(); ++i) sum += out[2 + i];
  out[0] = sum;
}

}  // namespace linnet::cuda
