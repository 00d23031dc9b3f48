// Lines that fit the shared memory of a block: a bitonic network (Batcher, "Sorting networks and
// their applications", 1968) over pairs of key and position, several short lines at once.
#include "kernels/cuda/device/order_key.h"
#include "kernels/cuda/sort/copy_element.h"
#include "kernels/cuda/sort/sort_args.h"

namespace linnet::cuda {

/// Orders the pairs `low` and `low + half` of a step of the network.
template <class Key>
LINNET_DEVICE void compare_step(Key* keys, uint32_t* at, int pairs, int capacity, int size,
                                int half) {
  for (int pair = thread(); pair < pairs; pair += kSortThreads) {
    const int low = 2 * pair - (pair & (half - 1)), high = low + half;
    const bool ascending = (low & (capacity - 1) & size) == 0;
    const Key a = keys[low], b = keys[high];
    const uint32_t at_a = at[low], at_b = at[high];
    if ((a > b || (a == b && at_a > at_b)) == ascending) {
      keys[low] = b, keys[high] = a;
      at[low] = at_b, at[high] = at_a;
    }
  }
  sync_block();
}

template <class Key>
LINNET_DEVICE void sort_block(const SortBlockArgs& args) {
  const int capacity = args.capacity, all = args.lines_per_block * capacity;
  Key* const keys = shared_memory<Key>();
  uint32_t* const at = reinterpret_cast<uint32_t*>(keys + all);
  const void* const x = args.x.get();
  void* const y = args.y.get();
  const int64_t first = int64_t{block_x()} * args.lines_per_block;
  for (int i = thread(); i < all; i += kSortThreads) {
    const int64_t line = first + i / capacity;
    const int position = i & (capacity - 1);
    // What fills up a line comes last, after every NaN, by its position.
    Key key = static_cast<Key>(~Key{0});
    if (line < args.count && position < args.length) {
      const int64_t from = offsets(args.lines, line)[0] + position * args.stride;
      key = static_cast<Key>(order_key(args.type, x, from));
    }
    keys[i] = key;
    at[i] = static_cast<uint32_t>(position);
  }
  sync_block();
  for (int size = 2; size <= capacity; size *= 2) {
    for (int half = size / 2; half > 0; half /= 2)
      compare_step(keys, at, all / 2, capacity, size, half);
  }
  for (int i = thread(); i < all; i += kSortThreads) {
    const int64_t line = first + i / capacity;
    const int position = i & (capacity - 1);
    if (line >= args.count || position >= args.length) continue;
    const Offsets<2> start = offsets(args.lines, line);
    const int64_t to = start[1] + position * args.out_stride;
    if (args.positions)
      static_cast<uint32_t*>(y)[to] = at[i];
    else
      copy_element(args.element_bytes, x, start[0] + at[i] * args.stride, y, to);
  }
}

LINNET_KERNEL(sort_block_32, SortBlockArgs, kSortThreads) { sort_block<uint32_t>(args); }
LINNET_KERNEL(sort_block_64, SortBlockArgs, kSortThreads) { sort_block<uint64_t>(args); }

}  // namespace linnet::cuda
