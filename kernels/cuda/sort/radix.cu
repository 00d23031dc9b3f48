// Long lines: least-significant-digit radix sort by bytes. A pass counts the digits of every tile,
// turns the counts of a line into places, and moves the pairs there; equal digits keep their order.
#include "kernels/cuda/device/order_key.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/scan.h"
#include "kernels/cuda/sort/copy_element.h"
#include "kernels/cuda/sort/sort_args.h"

namespace linnet::cuda {

template <class Key>
LINNET_DEVICE void radix_keys(const RadixKeysArgs& args) {
  const int64_t i = int64_t{block_x()} * kSortThreads + thread();
  if (i >= args.count) return;
  const int64_t line = args.length.quotient(i);
  const int64_t from = offsets(args.elements, i)[0];
  static_cast<Key*>(args.keys.get())[i] =
      static_cast<Key>(order_key(args.type, args.x.get(), from));
  args.at.get()[i] = static_cast<uint32_t>(i - line * args.length.size);
}

/// The tile of a block.
struct RadixTile {
  int line, tile;
  int64_t begin, end;  // in the line
  LINNET_DEVICE explicit RadixTile(const RadixArgs& args)
      : line(block_x() / args.tiles), tile(block_x() % args.tiles) {
    begin = int64_t{tile} * kRadixTile;
    end = begin + kRadixTile < args.length ? begin + kRadixTile : args.length;
  }
  LINNET_DEVICE int64_t count_at(const RadixArgs& args, int digit) const {
    return (int64_t{line} * kRadixDigits + digit) * args.tiles + tile;
  }
};

template <class Key>
LINNET_DEVICE int digit_of(Key key, int shift) {
  return static_cast<int>(key >> shift) & (kRadixDigits - 1);
}

template <class Key>
LINNET_DEVICE void radix_count(const RadixArgs& args) {
  LINNET_SHARED(int, counts, kRadixDigits);
  const RadixTile tile(args);
  const Key* const keys = static_cast<const Key*>(args.keys.get()) + tile.line * args.length;
  counts[thread()] = 0;
  sync_block();
  for (int64_t i = tile.begin + thread(); i < tile.end; i += kSortThreads)
    atomic_add(&counts[digit_of(keys[i], args.shift)], 1);
  sync_block();
  args.counts.get()[tile.count_at(args, thread())] = static_cast<uint32_t>(counts[thread()]);
}

/// The lanes of the warp that have the same digit; none for a lane without one.
LINNET_DEVICE unsigned lanes_of_digit(int digit, bool valid) {
  unsigned lanes = ballot(valid);
  LINNET_UNROLL
  for (int bit = 0; bit < 8; ++bit) {
    const bool set = (digit >> bit & 1) != 0;
    const unsigned others = ballot(set);
    lanes &= set ? others : ~others;
  }
  return valid ? lanes : 0;
}

/// A pair that a lane moves, with the lanes whose pairs have the same digit.
template <class Key>
struct RadixRound {
  Key key;
  uint32_t at;
  unsigned lanes;
};

template <class Key>
LINNET_DEVICE void radix_move(const RadixArgs& args) {
  LINNET_SHARED(uint32_t, places, kSortThreads / kWarp * kRadixDigits);
  const RadixTile tile(args);
  const int64_t line_begin = tile.line * args.length;
  const Key* const keys = static_cast<const Key*>(args.keys.get()) + line_begin;
  const uint32_t* const at = args.at.get() + line_begin;
  Key* const keys_out = static_cast<Key*>(args.keys_out.get()) + line_begin;
  uint32_t* const at_out = args.at_out.get() + line_begin;
  const unsigned below = (1u << lane()) - 1;

  LINNET_UNROLL
  for (int w = 0; w < kSortThreads / kWarp; ++w) places[w * kRadixDigits + thread()] = 0;
  sync_block();
  uint32_t* const own = places + warp() * kRadixDigits;
  RadixRound<Key> rounds[kRadixRounds];
  const int64_t first = tile.begin + warp() * (kWarp * kRadixRounds) + lane();
  LINNET_UNROLL
  for (int r = 0; r < kRadixRounds; ++r) {
    const int64_t i = first + r * kWarp;
    const bool valid = i < tile.end;
    rounds[r].key = valid ? keys[i] : Key{0};
    rounds[r].at = valid ? at[i] : 0;
    const int digit = digit_of(rounds[r].key, args.shift);
    rounds[r].lanes = lanes_of_digit(digit, valid);
    if (valid && (rounds[r].lanes & below) == 0)
      own[digit] += static_cast<uint32_t>(count_bits(rounds[r].lanes));
    sync_warp();
  }
  sync_block();
  uint32_t place = args.counts.get()[tile.count_at(args, thread())];
  LINNET_UNROLL
  for (int w = 0; w < kSortThreads / kWarp; ++w) {
    const uint32_t count = places[w * kRadixDigits + thread()];
    places[w * kRadixDigits + thread()] = place;
    place += count;
  }
  sync_block();
  LINNET_UNROLL
  for (int r = 0; r < kRadixRounds; ++r) {
    const RadixRound<Key>& round = rounds[r];
    const int digit = digit_of(round.key, args.shift);
    const uint32_t to = own[digit] + static_cast<uint32_t>(count_bits(round.lanes & below));
    sync_warp();
    if (round.lanes != 0) {
      keys_out[to] = round.key;
      at_out[to] = round.at;
      if ((round.lanes & below) == 0) own[digit] += static_cast<uint32_t>(count_bits(round.lanes));
    }
    sync_warp();
  }
}

/// Where each digit of each tile begins: the sums of what comes before, digit by digit.
LINNET_KERNEL(radix_places, RadixArgs, kRadixPlacesThreads) {
  const int64_t count = int64_t{kRadixDigits} * args.tiles;
  uint32_t* const counts = args.counts.get() + block_x() * count;
  uint32_t carry = 0;
  constexpr int64_t kChunk = kRadixPlacesThreads * kRadixPlacesItems;
  for (int64_t chunk = 0; chunk < count; chunk += kChunk) {
    const int64_t first = chunk + thread() * kRadixPlacesItems;
    uint32_t items[kRadixPlacesItems], own = 0;
    LINNET_UNROLL
    for (int k = 0; k < kRadixPlacesItems; ++k) {
      items[k] = first + k < count ? counts[first + k] : 0;
      own += items[k];
    }
    const Prefix<uint32_t> prefix = block_scan<kRadixPlacesThreads>(own, 0u, Sum());
    uint32_t place = carry + prefix.before;
    LINNET_UNROLL
    for (int k = 0; k < kRadixPlacesItems; ++k) {
      if (first + k < count) counts[first + k] = place;
      place += items[k];
    }
    carry += prefix.all;
  }
}

LINNET_KERNEL(radix_finish, RadixFinishArgs, kSortThreads) {
  const int64_t i = int64_t{block_x()} * kSortThreads + thread();
  if (i >= args.count) return;
  const int64_t to = offsets(args.elements, i)[1];
  const uint32_t at = args.at.get()[i];
  void* const y = args.y.get();
  if (args.positions) {
    static_cast<uint32_t*>(y)[to] = at;
    return;
  }
  const int64_t line_begin = args.length.quotient(i) * args.length.size;
  const int64_t from = offsets(args.elements, line_begin + at)[0];
  copy_element(args.element_bytes, args.x.get(), from, y, to);
}

LINNET_KERNEL(radix_keys_32, RadixKeysArgs, kSortThreads) { radix_keys<uint32_t>(args); }
LINNET_KERNEL(radix_keys_64, RadixKeysArgs, kSortThreads) { radix_keys<uint64_t>(args); }
LINNET_KERNEL(radix_count_32, RadixArgs, kSortThreads) { radix_count<uint32_t>(args); }
LINNET_KERNEL(radix_count_64, RadixArgs, kSortThreads) { radix_count<uint64_t>(args); }
LINNET_KERNEL(radix_move_32, RadixArgs, kSortThreads) { radix_move<uint32_t>(args); }
LINNET_KERNEL(radix_move_64, RadixArgs, kSortThreads) { radix_move<uint64_t>(args); }

}  // namespace linnet::cuda
