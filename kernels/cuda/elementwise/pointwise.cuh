// The frame of elementwise kernels: loads, a function that the launch chooses, stores. All types
// that are computed alike share one kernel, so that each function is compiled once.
#pragma once

#include "core/ops/scalar_functions.h"
#include "kernels/cuda/device/index_space.h"
#include "kernels/cuda/elementwise/pointwise_args.h"
#include "kernels/cuda/elementwise/storage.cuh"

namespace linnet::cuda {

/// Elements and operands of one thread in a kernel of packs: neighbours, in 16 bytes at a time.
template <int kArity, int N>
struct PackedPlace {
  int64_t offsets[kArity];
  uint32_t index;
  int count;  ///< elements of the pack

  LINNET_DEVICE explicit PackedPlace(const PointwiseArgs<kArity>& args)
      : index(static_cast<uint32_t>(block_x()) * kPointwiseThreads + thread()) {
    count = index >= args.space.count ? 0 : N;
    if (args.tail != 0 && index + 1 == args.space.count) count = args.tail;
    locate(args.space, index, offsets);
  }
  template <class S>
  LINNET_DEVICE void fetch(const PointwiseArgs<kArity>& args, int k, Packs<S, N>& raw) const {
    const char* at = args.x[k].get() + offsets[k];
    if (args.repeated >> k & 1) {
      raw[0] = *reinterpret_cast<const S*>(at);
      LINNET_UNROLL
      for (int i = 1; i < N; ++i) raw[i] = raw[0];
    } else if (count == N) {
      raw.load(at);
    } else {
      LINNET_UNROLL
      for (int i = 0; i < N; ++i) raw[i] = reinterpret_cast<const S*>(at)[i < count ? i : 0];
    }
  }
  template <class S, class V>
  LINNET_DEVICE void store(char* to, const V (&y)[N]) const {
    char* at = to + uint64_t{index} * (N * sizeof(S));
    if (count == N) {
      Packs<S, N> raw;
      LINNET_UNROLL
      for (int i = 0; i < N; ++i) raw[i] = narrowed<S>(y[i]);
      raw.store(at);
      return;
    }
    LINNET_UNROLL
    for (int i = 0; i < N; ++i) {
      if (i < count) reinterpret_cast<S*>(at)[i] = narrowed<S>(y[i]);
    }
  }
};

/// In a kernel of elements that lie anywhere: a block's width apart, so that neighbouring threads
/// have neighbours.
template <int kArity, int N>
struct StridedPlace {
  int64_t offsets[N][kArity];
  uint32_t index;
  int count;

  LINNET_DEVICE explicit StridedPlace(const PointwiseArgs<kArity>& args)
      : index(static_cast<uint32_t>(block_x()) * (N * kPointwiseThreads) + thread()), count(0) {
    LINNET_UNROLL
    for (int i = 0; i < N; ++i) {
      const uint32_t element = index + i * kPointwiseThreads;
      const bool exists = element < args.space.count;
      count += exists ? 1 : 0;
      locate(args.space, exists ? element : 0, offsets[i]);
    }
  }
  template <class S>
  LINNET_DEVICE void fetch(const PointwiseArgs<kArity>& args, int k, Packs<S, N>& raw) const {
    LINNET_UNROLL
    for (int i = 0; i < N; ++i)
      raw[i] = *reinterpret_cast<const S*>(args.x[k].get() + offsets[i][k]);
  }
  template <class S, class V>
  LINNET_DEVICE void store(char* to, const V (&y)[N]) const {
    LINNET_UNROLL
    for (int i = 0; i < N; ++i) {
      if (i < count)
        reinterpret_cast<S*>(to)[uint64_t{index} + i * kPointwiseThreads] = narrowed<S>(y[i]);
    }
  }
};

/// All operands, which have one type in memory. Every load is under way before the first is used.
template <class S, class Place, class V, int kArity, int N>
LINNET_DEVICE void load(const Place& place, const PointwiseArgs<kArity>& args, V (&x)[kArity][N]) {
  Packs<S, N> raw[kArity];
  LINNET_UNROLL
  for (int k = 0; k < kArity; ++k) place.fetch(args, k, raw[k]);
  LINNET_UNROLL
  for (int k = 0; k < kArity; ++k) {
    LINNET_UNROLL
    for (int i = 0; i < N; ++i) x[k][i] = widened<V>(raw[k][i]);
  }
}

/// `Operations::apply(op, storage, parameter, x, y)` for the elements of this thread; `Storages`
/// are the types in memory. Results are of the operands' type, or of `Result` if it is not void.
template <class Place, class V, class Operations, class Result, int kArity, int N, class... S>
LINNET_DEVICE void pointwise(const PointwiseArgs<kArity>& args) {
  const Place place(args);
  if (place.count == 0) return;
  V x[kArity][N];
  ((args.storage == static_cast<int>(kDTypeOf<S>) ? load<S>(place, args, x) : void()), ...);
  if constexpr (std::is_same_v<Result, Bool>) {
    bool y[N] = {};
    Operations::apply(args.op, args.storage, args.parameter, x, y);
    place.template store<Bool>(args.y.get(), y);
  } else {
    V y[N] = {};
    Operations::apply(args.op, args.storage, args.parameter, x, y);
    ((args.storage == static_cast<int>(kDTypeOf<S>) ? place.template store<S>(args.y.get(), y)
                                                    : void()),
     ...);
  }
}

}  // namespace linnet::cuda
