#include "kernels/cuda/sort/radix.h"

#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/sort/sort_args.h"

namespace linnet::cuda {
namespace {

const Function kCount32("radix_count_32", kSortThreads), kCount64("radix_count_64", kSortThreads);
const Function kMove32("radix_move_32", kSortThreads), kMove64("radix_move_64", kSortThreads);
const Function kPlaces("radix_places", kRadixPlacesThreads);

}  // namespace

RadixPlan::RadixPlan(int64_t lines, int64_t length, size_t key_bytes, int digits)
    : length_(length),
      lines_(blocks_for(lines, 1)),
      tiles_(blocks_for(length, kRadixTile)),
      key_bytes_(key_bytes),
      digits_(digits) {
  blocks_for(lines * tiles_, 1);
  const size_t pairs = static_cast<size_t>(lines * length);
  keys_stride_ = rounded_bytes(pairs * key_bytes);
  at_begin_ = 2 * keys_stride_;
  at_stride_ = rounded_bytes(pairs * sizeof(uint32_t));
  counts_ = at_begin_ + 2 * at_stride_;
  counts_bytes_ = rounded_bytes(size_t{lines_} * kRadixDigits * tiles_ * sizeof(uint32_t));
}

Address RadixPlan::keys(Address workspace, int side) const {
  return moved(workspace, static_cast<size_t>(side) * keys_stride_);
}
Address RadixPlan::at(Address workspace, int side) const {
  return moved(workspace, at_begin_ + static_cast<size_t>(side) * at_stride_);
}

void RadixPlan::emit(LaunchSink& sink, Address workspace) const {
  const bool wide = key_bytes_ == 8;
  for (int digit = 0; digit < digits_; ++digit) {
    const int from = digit % 2, to = 1 - from;
    RadixArgs args = {};
    args.keys = global<const void>(keys(workspace, from));
    args.at = global<const uint32_t>(at(workspace, from));
    args.keys_out = global<void>(keys(workspace, to));
    args.at_out = global<uint32_t>(at(workspace, to));
    args.counts = global<uint32_t>(moved(workspace, counts_));
    args.length = length_;
    args.tiles = static_cast<int32_t>(tiles_);
    args.shift = 8 * digit;
    sink.launch(wide ? kCount64 : kCount32, {lines_ * tiles_}, args);
    sink.launch(kPlaces, {lines_}, args);
    sink.launch(wide ? kMove64 : kMove32, {lines_ * tiles_}, args);
  }
}

}  // namespace linnet::cuda
