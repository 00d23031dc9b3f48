// Threefry-2x32 keys and bits (specification: docs/rng.md, section 2).
//
//   uint32_t key[2] = {0, 42}, pair[4], words[8];
//   cpu::split_keys(key, 1, 2, KeyLayout::kPartitionable, pair);
//   cpu::random_bits(pair, 1, 8, 32, KeyLayout::kPartitionable, words, nullptr);
//
// A key is two words, the high one first; an array of keys is dense, two words a key. Every
// function takes `key_count` keys and treats each alone: the result for one key does not depend on
// the others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace linnet::cpu {

/// How element positions become counters. `kPartitionable` is the default: the 64-bit row-major
/// index, so that any part of an array can be computed alone. `kOriginal` is the older layout.
enum class KeyLayout : uint8_t { kPartitionable, kOriginal };

using Key = std::array<uint32_t, 2>;

/// The block function: 20 rounds.
Key threefry2x32(Key key, Key counter);

/// out [key_count, count, 2]: `count` new keys from each key.
void split_keys(const uint32_t* keys, int64_t key_count, int64_t count, KeyLayout layout,
                uint32_t* out);

/// out [key_count, 2]: key i combined with data[i * data_stride]; a stride of 0 folds the same
/// number into every key. The same in both layouts.
void fold_in_keys(const uint32_t* keys, int64_t key_count, const uint32_t* data,
                  int64_t data_stride, uint32_t* out);

/// out [key_count, count] of unsigned integers of `width` bits (8, 16, 32 or 64).
/// @throws ValueError for another width.
void random_bits(const uint32_t* keys, int64_t key_count, int64_t count, int width,
                 KeyLayout layout, void* out, void* workspace);
/// Bytes of its workspace, aligned to 64; 0 in the partitionable layout.
size_t random_bits_workspace(int64_t count, int width, KeyLayout layout);

/// Elements [begin, begin + count) of what `random_bits` gives for one key in the partitionable
/// layout.
void random_bits_part(Key key, int64_t begin, int64_t count, int width, void* out);

}  // namespace linnet::cpu
