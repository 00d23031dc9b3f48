// Scans over the threads of a warp or a block, in a fixed order.
//
//   const Prefix<int> place = block_scan<256>(own, 0, Sum());
//   // place.before: what the threads before this one have; place.all: what all have
//
// All threads of the warp or block take part.
#pragma once

#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

/// What comes before a thread's own, and what all threads have together.
template <class A>
struct Prefix {
  A before, all;
};

/// @param own of four or eight bytes
template <class A, class Op>
LINNET_DEVICE Prefix<A> warp_scan(A own, A identity, Op op) {
  A up_to = own;
  LINNET_UNROLL
  for (int lanes = 1; lanes < kWarp; lanes *= 2) {
    const A other = shuffle_up(up_to, lanes);
    if (lane() >= lanes) up_to = op(other, up_to);
  }
  const A left = shuffle_up(up_to, 1);
  return {lane() == 0 ? identity : left, shuffle(up_to, kWarp - 1)};
}

/// A barrier comes before and after the result, so that calls may follow each other.
template <int kThreads, class A, class Op>
LINNET_DEVICE Prefix<A> block_scan(A own, A identity, Op op) {
  LINNET_SHARED(A, of_warps, kThreads / kWarp);
  const Prefix<A> in_warp = warp_scan(own, identity, op);
  if (lane() == 0) of_warps[warp()] = in_warp.all;
  sync_block();
  A before = identity, all = identity;
  LINNET_UNROLL
  for (int w = 0; w < kThreads / kWarp; ++w) {
    if (w == warp()) before = all;
    all = op(all, of_warps[w]);
  }
  sync_block();
  return {op(before, in_warp.before), all};
}

}  // namespace linnet::cuda
