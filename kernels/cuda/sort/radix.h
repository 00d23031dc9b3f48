// The passes of the radix sort, for sorts and for whatever has to bring pairs into order.
//
//   const RadixPlan plan(lines, length, /*key_bytes=*/4, /*digits=*/2);
//   … a kernel writes keys and positions at plan.keys(workspace, 0) and plan.at(workspace, 0)
//   plan.emit(sink, workspace);
//   … plan.sorted_keys(workspace), plan.sorted_at(workspace)
#pragma once

#include <cstddef>
#include <cstdint>

#include "linnet/back_end.h"

namespace linnet::cuda {

/// Bytes, rounded up to what every access is aligned to.
constexpr size_t rounded_bytes(size_t bytes) { return (bytes + 15) / 16 * 16; }
inline Address moved(Address address, size_t bytes) { return {address.word + bytes}; }

/// Sorts each of `lines` lines of `length` pairs by the lowest `digits` bytes of their keys of 4 or
/// 8 bytes.
class RadixPlan {
 public:
  /// @throws ValueError if there are more blocks than a launch has.
  RadixPlan(int64_t lines, int64_t length, size_t key_bytes, int digits);

  size_t workspace_bytes() const { return counts_ + counts_bytes_; }
  /// Pairs move from side 0 to side 1 and back.
  Address keys(Address workspace, int side) const;
  Address at(Address workspace, int side) const;
  Address sorted_keys(Address workspace) const { return keys(workspace, digits_ % 2); }
  Address sorted_at(Address workspace) const { return at(workspace, digits_ % 2); }
  void emit(LaunchSink& sink, Address workspace) const;

 private:
  int64_t length_;
  uint32_t lines_, tiles_;
  size_t key_bytes_;
  int digits_;
  size_t keys_stride_, at_begin_, at_stride_, counts_, counts_bytes_;
};

}  // namespace linnet::cuda
