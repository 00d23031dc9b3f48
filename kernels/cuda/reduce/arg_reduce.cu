// Where the extreme of a line is. The first of equal elements wins, and the first NaN of all.
#include "kernels/cuda/device/order_key.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/reduce/arg_reduce_args.h"

namespace linnet::cuda {

/// A candidate; a greater key is better.
template <class Key>
struct Candidate {
  Key key;
  uint32_t at;
};
template <>
struct Candidate<uint64_t> {
  uint64_t key;
  uint64_t at;  // no padding, which shuffles would move
};
struct BetterCandidate {
  template <class Key>
  LINNET_DEVICE Candidate<Key> operator()(Candidate<Key> a, Candidate<Key> b) const {
    return b.key > a.key || (b.key == a.key && b.at < a.at) ? b : a;
  }
};

template <class T>
struct ReadKey {
  using Key = uint32_t;
  const T* x;
  LINNET_DEVICE ReadKey(const ArgReduceArgs& args) : x(static_cast<const T*>(args.x.get())) {}
  LINNET_DEVICE uint32_t operator()(int64_t at) const { return order_key(x[at]); }
  static constexpr uint32_t kNan = static_cast<uint32_t>((uint64_t{1} << (8 * sizeof(T))) - 1);
};
template <>
struct ReadKey<void> {
  using Key = uint64_t;
  const void* x;
  ElementType type;
  LINNET_DEVICE ReadKey(const ArgReduceArgs& args) : x(args.x.get()), type(args.type) {}
  LINNET_DEVICE uint64_t operator()(int64_t at) const { return order_key(type, x, at); }
  static constexpr uint64_t kNan = ~uint64_t{0};  // of f64, the only float here
};

template <class T>
LINNET_DEVICE void arg_reduce(const ArgReduceArgs& args) {
  using Key = typename ReadKey<T>::Key;
  const int64_t line =
      int64_t{block_x()} * (kArgReduceThreads / args.lanes) + thread() / args.lanes;
  if (line >= args.count) return;  // whole warps, if warps share lines
  const ReadKey<T> read(args);
  const int64_t start = offsets(args.lines, line)[0];
  // Integers have no NaN, whose key stays the best for a minimum too.
  const bool has_nan = args.type >= ElementType::kF16;
  // Worse than any element, since it comes after all.
  Candidate<Key> best = {0, 0x7fffffffu};
  const int first = thread() % args.lanes;
  for (int64_t i = first; i < args.length; i += args.lanes) {
    Key key = read(start + i * args.stride);
    if (!args.maximum && !(has_nan && key == ReadKey<T>::kNan)) key = ReadKey<T>::kNan - key;
    best = BetterCandidate()(best, {key, static_cast<uint32_t>(i)});
  }
  if (args.lanes == kWarp) best = warp_reduce(best, BetterCandidate());
  if (args.lanes == kArgReduceThreads)
    best = block_reduce<kArgReduceThreads>(best, BetterCandidate());
  if (first == 0) args.y.get()[line] = static_cast<int32_t>(best.at);
}

#define LINNET_ARG_REDUCE(name, T) \
  LINNET_KERNEL(arg_reduce_##name, ArgReduceArgs, kArgReduceThreads) { arg_reduce<T>(args); }
LINNET_ARG_REDUCE_KERNELS(LINNET_ARG_REDUCE)

}  // namespace linnet::cuda
