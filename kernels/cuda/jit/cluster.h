// What generated kernels consist of, but for the functions themselves (generator.cpp).
#pragma once

#include "kernels/cuda/device/index_space.h"
#include "kernels/cuda/device/storage.h"
#include "kernels/cuda/jit/cluster_args.h"

/// For loops that run rarely: their code is short.
#if defined(__CUDACC__)
#define LINNET_ROLLED _Pragma("unroll 1")
#else
#define LINNET_ROLLED
#endif

namespace linnet::cuda {

/// Which pack of elements a thread has, and where the operands' elements are.
template <int kInputs, int kElements>
struct ClusterPlace {
  uint32_t index;
  int count;  ///< elements that exist
  int64_t offsets[kInputs > 0 ? kInputs : 1];
};

/// `sizes` are the bytes of an operand's elements, 0 if all are one number.
template <int kInputs, int kElements, int kOperands>
LINNET_DEVICE ClusterPlace<kInputs, kElements> place_of(const FlatClusterArgs<kOperands>& args,
                                                        const int (&sizes)[kInputs]) {
  ClusterPlace<kInputs, kElements> place;
  place.index = static_cast<uint32_t>(block_x()) * kClusterThreads + thread();
  place.count = place.index >= args.packs ? 0 : kElements;
  if (args.tail != 0 && place.index + 1 == args.packs) place.count = args.tail;
  LINNET_UNROLL
  for (int k = 0; k < kInputs; ++k)
    place.offsets[k] = uint64_t{place.index} * static_cast<unsigned>(kElements * sizes[k]);
  return place;
}
template <int kInputs, int kElements, int kOperands>
LINNET_DEVICE ClusterPlace<kInputs, kElements> place_of(const StridedClusterArgs<kOperands>& args,
                                                        const int (&)[kInputs]) {
  ClusterPlace<kInputs, kElements> place;
  place.index = static_cast<uint32_t>(block_x()) * kClusterThreads + thread();
  place.count = place.index >= args.space.count ? 0 : kElements;
  locate(args.space, place.count == 0 ? 0 : place.index, place.offsets);
  return place;
}

/// A pack of an operand whose elements are neighbours.
template <class S, int kElements>
LINNET_DEVICE void fetch(const char* at, Packs<S, kElements>& raw) {
  raw.load(at);
}
/// A pack of an operand that is one number within a pack.
template <class S, int kElements>
LINNET_DEVICE void fetch_one(const char* at, Packs<S, kElements>& raw) {
  raw[0] = *reinterpret_cast<const S*>(at);
  LINNET_UNROLL
  for (int i = 1; i < kElements; ++i) raw[i] = raw[0];
}
template <class S, int kElements>
LINNET_DEVICE void keep(char* to, uint32_t index, const Packs<S, kElements>& raw) {
  raw.store(to + uint64_t{index} * (kElements * sizeof(S)));
}

/// One element of a pack that is not whole.
template <class S>
LINNET_DEVICE S element(const char* at, int i) {
  return reinterpret_cast<const S*>(at)[i];
}
template <class S>
LINNET_DEVICE S& element(char* to, uint32_t index, int elements, int i) {
  return reinterpret_cast<S*>(to)[uint64_t{index} * static_cast<unsigned>(elements) + i];
}

}  // namespace linnet::cuda
