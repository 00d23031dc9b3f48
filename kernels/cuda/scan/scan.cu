// Cumulative operations along lines. A thread scans a few neighbouring elements, then warps and
// blocks scan what the threads have; a segment is done chunk by chunk. Long lines take three
// launches: what each segment amounts to, the scan of that, and the scan of the segments.
#include "kernels/cuda/device/fold.h"
#include "kernels/cuda/device/scan.h"
#include "kernels/cuda/scan/scan_args.h"

namespace linnet::cuda {

template <class T>
inline constexpr int kScanItems = kPack<T> < kScanMostItems ? kPack<T> : kScanMostItems;

/// One line, its elements in the order of the scan.
template <class T>
struct ScanLine {
  const T* x;
  T* y;
  int64_t length, stride, out_stride;
  bool reverse, packed;

  LINNET_DEVICE ScanLine(const ScanArgs& args, int64_t line)
      : length(args.length),
        stride(args.stride),
        out_stride(args.out_stride),
        reverse(args.reverse),
        packed(args.packed) {
    const Offsets<2> at = offsets(args.lines, line);
    x = static_cast<const T*>(args.x.get()) + at[0];
    y = static_cast<T*>(args.y.get()) + at[1];
  }

  LINNET_DEVICE int64_t position(int64_t i) const { return reverse ? length - 1 - i : i; }
  LINNET_DEVICE T load(int64_t i) const { return x[position(i) * stride]; }
  LINNET_DEVICE void store(int64_t i, T value) const { y[position(i) * out_stride] = value; }

  /// Elements `i` to `i + kScanItems`; those from `end` on are `identity`.
  template <class A>
  LINNET_DEVICE void load_items(int64_t i, int64_t end, A identity,
                                A (&items)[kScanItems<T>]) const {
    constexpr int kItems = kScanItems<T>;
    if (packed && i < end) {
      const Pack<T, kItems> pack = load_pack<kItems>(x + (reverse ? length - i - kItems : i));
      LINNET_UNROLL
      for (int k = 0; k < kItems; ++k)
        items[k] = to_accumulator(reverse ? pack[kItems - 1 - k] : pack[k]);
      return;
    }
    LINNET_UNROLL
    for (int k = 0; k < kItems; ++k)
      items[k] = i + k < end ? to_accumulator(load(i + k)) : identity;
  }
  template <class A>
  LINNET_DEVICE void store_items(int64_t i, int64_t end, const A (&items)[kScanItems<T>]) const {
    constexpr int kItems = kScanItems<T>;
    if (packed && i < end) {
      Pack<T, kItems> pack;
      LINNET_UNROLL
      for (int k = 0; k < kItems; ++k)
        pack[k] = from_accumulator<T>(reverse ? items[kItems - 1 - k] : items[k]);
      store_pack<kItems>(y + (reverse ? length - i - kItems : i), pack);
      return;
    }
    LINNET_UNROLL
    for (int k = 0; k < kItems; ++k) {
      if (i + k < end) store(i + k, from_accumulator<T>(items[k]));
    }
  }
};

/// A thread for a line.
template <class T>
LINNET_DEVICE void scan_alone(const ScanArgs& args, const ScanLine<T>& line, GivenFold op) {
  Accumulator<T> total = op.identity<T>();
  for (int64_t i = 0; i < args.length; ++i) {
    const Accumulator<T> value = to_accumulator(line.load(i));
    total = i == 0 ? value : op(total, value);
    line.store(i, from_accumulator<T>(total));
  }
}

template <class T>
LINNET_DEVICE void scan_segment(const ScanArgs& args, const ScanLine<T>& line, int64_t number,
                                GivenFold op) {
  using A = Accumulator<T>;
  constexpr int kItems = kScanItems<T>;
  const bool by_warps = args.lanes == kWarp;
  const A identity = op.identity<T>();
  A* const partial = args.segments > 1
                         ? static_cast<A*>(args.partial.get()) + number * args.segments + block_y()
                         : nullptr;
  const int64_t begin = block_y() * args.segment;
  const int64_t end = begin + args.segment < args.length ? begin + args.segment : args.length;
  A carry = args.step == ScanStep::kScan && block_y() > 0 ? partial[-1] : identity;
  for (int64_t chunk = begin; chunk < end; chunk += args.lanes * kItems) {
    const int64_t i = chunk + (by_warps ? lane() : thread()) * kItems;
    A items[kItems];
    line.load_items(i, end, identity, items);
    LINNET_UNROLL
    for (int k = 1; k < kItems; ++k) items[k] = op(items[k - 1], items[k]);
    const A own = items[kItems - 1];
    const Prefix<A> prefix =
        by_warps ? warp_scan(own, identity, op) : block_scan<kScanThreads>(own, identity, op);
    if (args.step == ScanStep::kScan) {
      const A before = op(carry, prefix.before);
      LINNET_UNROLL
      for (int k = 0; k < kItems; ++k) items[k] = op(before, items[k]);
      line.store_items(i, end, items);
    }
    carry = op(carry, prefix.all);
  }
  if (args.step == ScanStep::kTotals && thread() == 0) *partial = carry;
}

template <class T>
LINNET_DEVICE void scan(const ScanArgs& args) {
  const GivenFold op = {args.kind};
  const int64_t number = int64_t{block_x()} * (kScanThreads / args.lanes) + thread() / args.lanes;
  if (number >= args.count) return;  // whole warps, if warps share lines
  const ScanLine<T> line(args, number);
  if (args.lanes == 1)
    scan_alone(args, line, op);
  else
    scan_segment(args, line, number, op);
}

#define LINNET_SCAN(name, T) \
  LINNET_KERNEL(scan_##name, ScanArgs, kScanThreads) { scan<T>(args); }
LINNET_SCAN_KERNELS(LINNET_SCAN)

}  // namespace linnet::cuda
