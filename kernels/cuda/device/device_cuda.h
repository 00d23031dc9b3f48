// device.h for nvcc and NVRTC.
#pragma once

#if defined(__CUDACC_RTC__)
using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long long;
using size_t = unsigned long;
// Builtins of other compilers that NVRTC lacks.
#define __builtin_huge_val() __builtin_bit_cast(double, 0x7ff0000000000000ull)
#define __builtin_inf() __builtin_huge_val()
#define __builtin_nan(text) __builtin_bit_cast(double, 0x7ff8000000000000ull)
#else
#include <cstddef>
#include <cstdint>
#endif

#define LINNET_DEVICE __device__ __forceinline__
#define LINNET_UNROLL _Pragma("unroll")
#define LINNET_MAY_ALIAS

/// Defines a kernel; the body follows and sees `args`.
#define LINNET_KERNEL(name, Args, threads) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Args args)

/// An array that the threads of a block share, at function scope, not initialised.
#define LINNET_SHARED(T, name, count) __shared__ T name[count]

namespace linnet::cuda {

/// Where an operation is called: known to the emulator alone.
struct Caller {
  static LINNET_DEVICE Caller current() { return {}; }
};

LINNET_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
LINNET_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
LINNET_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
LINNET_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
LINNET_DEVICE int blocks_x() { return static_cast<int>(gridDim.x); }
LINNET_DEVICE int blocks_y() { return static_cast<int>(gridDim.y); }
LINNET_DEVICE int blocks_z() { return static_cast<int>(gridDim.z); }
LINNET_DEVICE int block_threads() { return static_cast<int>(blockDim.x); }

/// The dynamic shared memory of the launch, aligned to 16 bytes.
template <class T>
LINNET_DEVICE T* shared_memory() {
  extern __shared__ __align__(16) unsigned char linnet_dynamic_shared[];
  return reinterpret_cast<T*>(linnet_dynamic_shared);
}

LINNET_DEVICE void sync_block() { __syncthreads(); }
LINNET_DEVICE void sync_warp(unsigned mask = 0xffffffffu) { __syncwarp(mask); }
/// T has 4 or 8 bytes.
template <class T>
LINNET_DEVICE T shuffle(T value, int from_lane, unsigned mask = 0xffffffffu) {
  return __shfl_sync(mask, value, from_lane);
}
template <class T>
LINNET_DEVICE T shuffle_xor(T value, int lanes, unsigned mask = 0xffffffffu) {
  return __shfl_xor_sync(mask, value, lanes);
}
template <class T>
LINNET_DEVICE T shuffle_up(T value, int lanes, unsigned mask = 0xffffffffu) {
  return __shfl_up_sync(mask, value, lanes);
}
template <class T>
LINNET_DEVICE T shuffle_down(T value, int lanes, unsigned mask = 0xffffffffu) {
  return __shfl_down_sync(mask, value, lanes);
}
LINNET_DEVICE unsigned ballot(bool predicate, unsigned mask = 0xffffffffu) {
  return __ballot_sync(mask, predicate);
}

/// CUDA's names for types of the same size, which its overloads are declared for.
template <bool kReal, bool kSigned, int kBytes>
struct AtomicType;
template <>
struct AtomicType<true, true, 4> {
  using type = float;
};
template <>
struct AtomicType<true, true, 8> {
  using type = double;
};
template <>
struct AtomicType<false, true, 4> {
  using type = int;
};
template <>
struct AtomicType<false, false, 4> {
  using type = unsigned;
};
template <>
struct AtomicType<false, true, 8> {
  using type = long long;
};
template <>
struct AtomicType<false, false, 8> {
  using type = unsigned long long;
};
template <class T>
using Atomic = typename AtomicType<static_cast<T>(0.5) != T(0), (static_cast<T>(-1) < T(0)),
                                   static_cast<int>(sizeof(T))>::type;
/// The unsigned type of T's size.
template <class T>
using AtomicWord = typename AtomicType<false, false, static_cast<int>(sizeof(T))>::type;

/// T is float, double, or an integer of 32 or 64 bits.
template <class T>
LINNET_DEVICE T atomic_add(T* at, T value) {
  if constexpr (static_cast<T>(0.5) != T(0)) {
    return atomicAdd(at, value);
  } else {
    using Word = AtomicWord<T>;
    return static_cast<T>(atomicAdd(reinterpret_cast<Word*>(at), static_cast<Word>(value)));
  }
}
/// T is an integer of 32 or 64 bits.
template <class T>
LINNET_DEVICE T atomic_max(T* at, T value) {
  static_assert(static_cast<T>(0.5) == T(0));
  return atomicMax(reinterpret_cast<Atomic<T>*>(at), static_cast<Atomic<T>>(value));
}
template <class T>
LINNET_DEVICE T atomic_min(T* at, T value) {
  static_assert(static_cast<T>(0.5) == T(0));
  return atomicMin(reinterpret_cast<Atomic<T>*>(at), static_cast<Atomic<T>>(value));
}
/// T has 4 or 8 bytes.
template <class T>
LINNET_DEVICE T atomic_exchange(T* at, T value) {
  using Word = AtomicWord<T>;
  return __builtin_bit_cast(
      T, atomicExch(reinterpret_cast<Word*>(at), __builtin_bit_cast(Word, value)));
}
/// Compares bits. @return what was there.
template <class T>
LINNET_DEVICE T atomic_compare_exchange(T* at, T expected, T value) {
  using Word = AtomicWord<T>;
  return __builtin_bit_cast(
      T, atomicCAS(reinterpret_cast<Word*>(at), __builtin_bit_cast(Word, expected),
                   __builtin_bit_cast(Word, value)));
}
/// What this thread wrote is seen by other blocks before what it writes from now on.
LINNET_DEVICE void fence_device() { __threadfence(); }

/// ex2.approx, rcp.approx and rsqrt.approx: for results of 16 bits.
LINNET_DEVICE float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
LINNET_DEVICE float reciprocal_approximate(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
LINNET_DEVICE float reciprocal_sqrt_approximate(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

LINNET_DEVICE uint32_t multiply_high(uint32_t a, uint32_t b) { return __umulhi(a, b); }
LINNET_DEVICE int leading_zeros(uint32_t x) { return __clz(static_cast<int>(x)); }
LINNET_DEVICE int count_bits(uint32_t x) { return __popc(x); }

/// Device memory that no thread of the launch writes. T has 1, 2, 4, 8 or 16 bytes, and `at` is a
/// multiple of its size.
template <class T>
LINNET_DEVICE T load_read_only(const T* at, const Caller& = {}) {
  if constexpr (sizeof(T) == 16) {
    return __builtin_bit_cast(T, __ldg(reinterpret_cast<const uint4*>(at)));
  } else if constexpr (sizeof(T) == 8) {
    return __builtin_bit_cast(T, __ldg(reinterpret_cast<const uint2*>(at)));
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(T, __ldg(reinterpret_cast<const unsigned*>(at)));
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bit_cast(T, __ldg(reinterpret_cast<const unsigned short*>(at)));
  } else {
    static_assert(sizeof(T) == 1);
    return __builtin_bit_cast(T, __ldg(reinterpret_cast<const unsigned char*>(at)));
  }
}

LINNET_DEVICE void check_alignment(const void*, size_t, const Caller&) {}

}  // namespace linnet::cuda
