// What kernels are written in: the same source compiles under nvcc, NVRTC and g++, where the
// threads of a block are fibres of an emulator.
//
//   LINNET_KERNEL(scale_f32, ScaleArgs, 256) {
//     const int i = block_x() * 256 + thread();
//     if (i < args.count) args.y.get()[i] = args.x.get()[i] * args.factor;
//   }
//
// A kernel has blocks of one dimension, whose size is part of its name's definition. Everything
// that two threads of a block share goes through LINNET_SHARED or shared_memory<T>(), barriers and
// warp operations; nothing else of CUDA may be used in kernels.
#pragma once

#include "kernels/cuda/device/global.h"

#if defined(__CUDACC__)
#include "kernels/cuda/device/device_cuda.h"
#else
#include "cuda/emulator/device_host.h"
#endif

namespace linnet::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

LINNET_DEVICE int lane() { return thread() % kWarp; }
LINNET_DEVICE int warp() { return thread() / kWarp; }

/// N values that are loaded and stored at once; addresses are multiples of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) LINNET_MAY_ALIAS Pack {
  T values[N];
  LINNET_DEVICE T& operator[](int i) { return values[i]; }
  LINNET_DEVICE const T& operator[](int i) const { return values[i]; }
};

/// Values in 16 bytes.
template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));

/// @param at a multiple of the pack's size.
template <int N, class T>
LINNET_DEVICE Pack<T, N> load_pack(const T* at, const Caller& caller = Caller::current()) {
  check_alignment(at, sizeof(Pack<T, N>), caller);
  return *reinterpret_cast<const Pack<T, N>*>(at);
}
template <int N, class T>
LINNET_DEVICE void store_pack(T* at, const Pack<T, N>& pack,
                              const Caller& caller = Caller::current()) {
  check_alignment(at, sizeof(Pack<T, N>), caller);
  *reinterpret_cast<Pack<T, N>*>(at) = pack;
}

}  // namespace linnet::cuda
