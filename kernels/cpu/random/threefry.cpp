#include "kernels/cpu/random/threefry.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "kernels/cpu/random/threefry_vector.h"
#include "kernels/cpu/workspace.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // blocks worth a thread
constexpr int64_t kTile = 1024;

Key load_key(const uint32_t* keys, int64_t index) { return {keys[2 * index], keys[2 * index + 1]}; }

// Calls visit(key index, first element, elements) over all keys' elements, in parallel.
template <class Visit>
void for_key_parts(int64_t key_count, int64_t count, Visit&& visit) {
  parallel_for(key_count * count, kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t key = begin / count, first = begin % count;
      const int64_t size = std::min(count - first, end - begin);
      visit(key, first, size);
      begin += size;
    }
  });
}

// The older hash of the counters 0..count-1, count < 2^32.
void original_hash(Key key, int64_t count, uint32_t* out) {
  const int64_t half = (count + 1) / 2;
  parallel_for(half, kGrain, [&](int64_t begin, int64_t end) {
    uint32_t second[kTile];
    for (int64_t at = begin; at < end; at += kTile) {
      const int64_t size = std::min(kTile, end - at);
      threefry_halves(key, static_cast<uint32_t>(at), size, static_cast<uint32_t>(half),
                      static_cast<uint32_t>(count), out + at, second);
      const int64_t kept = std::min(size, count - half - at);
      if (kept > 0) std::memcpy(out + half + at, second, static_cast<size_t>(kept) * 4);
    }
  });
}

void original_split(Key key, int64_t count, uint32_t* out) { original_hash(key, 2 * count, out); }

// Counters are 32 bits wide: longer requests are cut into blocks under keys of their own.
constexpr int64_t kBlock = 0xFFFFFFFF;

/// What one key's numbers in the older layout are made from. Words of 32 bits need no copy.
struct OriginalSpace {
  OriginalSpace(Workspace& w, int64_t count, int width)
      : word_count((count * width + 31) / 32),
        keys(w.take<uint32_t>(word_count < kBlock ? 0 : 2 * (word_count / kBlock + 1))),
        words(w.take<uint32_t>(width == 32 ? 0 : word_count)) {}
  int64_t word_count;
  uint32_t *keys, *words;
};

void original_words(Key key, const OriginalSpace& space, uint32_t* words) {
  const int64_t blocks = space.word_count / kBlock, rest = space.word_count % kBlock;
  if (blocks == 0) return original_hash(key, rest, words);
  original_split(key, blocks + 1, space.keys);
  for (int64_t i = 0; i <= blocks; ++i)
    original_hash(load_key(space.keys, i), i < blocks ? kBlock : rest, words + i * kBlock);
}

void original_bits(Key key, int64_t count, int width, const OriginalSpace& space, char* out) {
  if (width == 32) return original_words(key, space, reinterpret_cast<uint32_t*>(out));
  const uint32_t* const words = space.words;
  original_words(key, space, space.words);
  if (width == 64) {
    auto* to = reinterpret_cast<uint64_t*>(out);
    for (int64_t i = 0; i < count; ++i) to[i] = uint64_t(words[i]) << 32 | words[count + i];
  } else if (count > 0) {
    // Narrow elements are the pieces of each word, least significant first: its bytes in memory.
    std::memcpy(out, words, static_cast<size_t>(count * width / 8));
  }
}

template <class T>
void narrow_bits_part(Key key, uint64_t begin, int64_t count, T* out) {
  uint32_t words[kTile];
  for (int64_t at = 0; at < count; at += kTile) {
    const int64_t size = std::min(kTile, count - at);
    threefry_xor(key, begin + static_cast<uint64_t>(at), size, words);
    for (int64_t i = 0; i < size; ++i) out[at + i] = static_cast<T>(words[i]);
  }
}

}  // namespace

Key threefry2x32(Key key, Key counter) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t schedule[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  uint32_t x0 = counter[0] + schedule[0], x1 = counter[1] + schedule[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (int rotation : kRotations[group % 2]) {
      x0 += x1;
      x1 = std::rotl(x1, rotation) ^ x0;
    }
    x0 += schedule[(group + 1) % 3];
    x1 += schedule[(group + 2) % 3] + group + 1;
  }
  return {x0, x1};
}

void split_keys(const uint32_t* keys, int64_t key_count, int64_t count, KeyLayout layout,
                uint32_t* out) {
  if (layout == KeyLayout::kOriginal) {
    for (int64_t i = 0; i < key_count; ++i)
      original_split(load_key(keys, i), count, out + 2 * i * count);
    return;
  }
  for_key_parts(key_count, count, [&](int64_t key, int64_t first, int64_t size) {
    threefry_pairs(load_key(keys, key), static_cast<uint64_t>(first), size,
                   out + 2 * (key * count + first));
  });
}

void fold_in_keys(const uint32_t* keys, int64_t key_count, const uint32_t* data,
                  int64_t data_stride, uint32_t* out) {
  parallel_for(key_count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Key folded = threefry2x32(load_key(keys, i), {0, data[i * data_stride]});
      out[2 * i] = folded[0];
      out[2 * i + 1] = folded[1];
    }
  });
}

void random_bits_part(Key key, int64_t begin, int64_t count, int width, void* out) {
  const uint64_t first = static_cast<uint64_t>(begin);
  switch (width) {
    case 8:
      return narrow_bits_part(key, first, count, static_cast<uint8_t*>(out));
    case 16:
      return narrow_bits_part(key, first, count, static_cast<uint16_t*>(out));
    case 32:
      return threefry_xor(key, first, count, static_cast<uint32_t*>(out));
    case 64:
      return threefry_wide(key, first, count, static_cast<uint64_t*>(out));
    default:
      break;
  }
  throw ValueError("random_bits: expected a width of 8, 16, 32 or 64, got " +
                   std::to_string(width));
}

size_t random_bits_workspace(int64_t count, int width, KeyLayout layout) {
  return layout == KeyLayout::kOriginal ? workspace_bytes<OriginalSpace>(count, width) : 0;
}

void random_bits(const uint32_t* keys, int64_t key_count, int64_t count, int width,
                 KeyLayout layout, void* out, void* workspace) {
  if (width != 8 && width != 16 && width != 32 && width != 64) {
    throw ValueError("random_bits: expected a width of 8, 16, 32 or 64, got " +
                     std::to_string(width));
  }
  char* to = static_cast<char*>(out);
  const int64_t bytes = width / 8;
  if (layout == KeyLayout::kOriginal) {
    Workspace w(workspace);
    const OriginalSpace space(w, count, width);
    for (int64_t i = 0; i < key_count; ++i)
      original_bits(load_key(keys, i), count, width, space, to + i * count * bytes);
    return;
  }
  for_key_parts(key_count, count, [&](int64_t key, int64_t first, int64_t size) {
    random_bits_part(load_key(keys, key), first, size, width, to + (key * count + first) * bytes);
  });
}

}  // namespace linnet::cpu
