// device.h for g++: the operations of device_cuda.h on the emulated machine (machine.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>

#include "cuda/emulator/machine.h"
#include "cuda/emulator/operations.h"

#define LINNET_DEVICE inline
#define LINNET_UNROLL
/// Packs are read from arrays of their members.
#define LINNET_MAY_ALIAS [[gnu::may_alias]]

/// Defines a kernel; the body follows and sees `args`. The machine finds it as
/// `linnet_kernel_NAME`.
#define LINNET_KERNEL(name, Args, threads) LINNET_KERNEL_ENTRY(name, Args, threads)
#define LINNET_KERNEL_ENTRY(name, Args, threads)                               \
  static void linnet_body_##name(const Args& args);                            \
  extern "C" {                                                                 \
  extern const ::linnet::cuda::emulator::KernelEntry linnet_kernel_##name      \
      __attribute__((visibility("default")));                                  \
  const ::linnet::cuda::emulator::KernelEntry linnet_kernel_##name = {         \
      #name,    sizeof(Args),                                                  \
      threads,  &::linnet::cuda::emulator::run_body<Args, linnet_body_##name>, \
      __FILE__, __LINE__};                                                     \
  }                                                                            \
  static void linnet_body_##name([[maybe_unused]] const Args& args)

/// An array that the threads of a block share, at function scope, not initialised.
#define LINNET_SHARED(T, name, count)                         \
  static char linnet_key_##name;                              \
  auto& name = *static_cast<std::type_identity_t<T[count]>*>( \
      ::linnet::cuda::emulator::shared_array(&linnet_key_##name, sizeof(T[count]), #name))

namespace linnet::cuda {

namespace emulator {
template <class Args, void (*kBody)(const Args&)>
void run_body(const void* parameters) {
  kBody(*static_cast<const Args*>(parameters));
}
}  // namespace emulator

/// Where an operation is called, for messages about mistakes.
using Caller = std::source_location;

LINNET_DEVICE int thread() { return emulator::position.thread; }
LINNET_DEVICE int block_x() { return emulator::position.block[0]; }
LINNET_DEVICE int block_y() { return emulator::position.block[1]; }
LINNET_DEVICE int block_z() { return emulator::position.block[2]; }
LINNET_DEVICE int blocks_x() { return emulator::position.blocks[0]; }
LINNET_DEVICE int blocks_y() { return emulator::position.blocks[1]; }
LINNET_DEVICE int blocks_z() { return emulator::position.blocks[2]; }
LINNET_DEVICE int block_threads() { return emulator::position.threads; }

/// The dynamic shared memory of the launch, aligned to 16 bytes.
template <class T>
LINNET_DEVICE T* shared_memory() {
  return static_cast<T*>(emulator::dynamic_shared());
}

LINNET_DEVICE void sync_block(const Caller& caller = Caller::current()) {
  emulator::sync_block(caller);
}
LINNET_DEVICE void sync_warp(unsigned mask = 0xffffffffu,
                             const Caller& caller = Caller::current()) {
  emulator::meet_lanes(emulator::Operation::kSyncWarp, mask, 0, 0, caller);
}

namespace emulator {

/// The unsigned type of T's size.
template <class T>
using Word = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
T shuffle_from(T value, int from, unsigned mask, const Caller& caller) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  const uint64_t word = __builtin_bit_cast(Word<T>, value);
  const uint64_t result = meet_lanes(Operation::kShuffle, mask, word, from, caller);
  return __builtin_bit_cast(T, static_cast<Word<T>>(result));
}
inline int lane_of_warp() { return position.thread % 32; }
/// A lane that is not there is replaced by the own one.
inline int lane_or_own(int lane) { return lane >= 0 && lane < 32 ? lane : lane_of_warp(); }

}  // namespace emulator

/// T has 4 or 8 bytes. Of a lane, or of a number of lanes, the lowest five bits count, as in PTX.
template <class T>
LINNET_DEVICE T shuffle(T value, int from_lane, unsigned mask = 0xffffffffu,
                        const Caller& caller = Caller::current()) {
  return emulator::shuffle_from(value, from_lane & 31, mask, caller);
}
template <class T>
LINNET_DEVICE T shuffle_xor(T value, int lanes, unsigned mask = 0xffffffffu,
                            const Caller& caller = Caller::current()) {
  const int from = emulator::lane_or_own(emulator::lane_of_warp() ^ (lanes & 31));
  return emulator::shuffle_from(value, from, mask, caller);
}
template <class T>
LINNET_DEVICE T shuffle_up(T value, int lanes, unsigned mask = 0xffffffffu,
                           const Caller& caller = Caller::current()) {
  const int from = emulator::lane_or_own(emulator::lane_of_warp() - (lanes & 31));
  return emulator::shuffle_from(value, from, mask, caller);
}
template <class T>
LINNET_DEVICE T shuffle_down(T value, int lanes, unsigned mask = 0xffffffffu,
                             const Caller& caller = Caller::current()) {
  const int from = emulator::lane_or_own(emulator::lane_of_warp() + (lanes & 31));
  return emulator::shuffle_from(value, from, mask, caller);
}
LINNET_DEVICE unsigned ballot(bool predicate, unsigned mask = 0xffffffffu,
                              const Caller& caller = Caller::current()) {
  return static_cast<unsigned>(
      emulator::meet_lanes(emulator::Operation::kBallot, mask, predicate, 0, caller));
}

namespace emulator {

/// Replaces *at by change(*at) as one step. @return what was there.
template <class T, class Change>
T atomic_update(T* at, Change change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  auto* word = reinterpret_cast<Word<T>*>(at);
  Word<T> old = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    const T before = __builtin_bit_cast(T, old);
    const Word<T> after = __builtin_bit_cast(Word<T>, change(before));
    if (__atomic_compare_exchange_n(word, &old, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return before;
    }
  }
}

}  // namespace emulator

/// T is float, double, or an integer of 32 or 64 bits.
template <class T>
LINNET_DEVICE T atomic_add(T* at, T value) {
  return emulator::atomic_update(at, [value](T old) {
    if constexpr (std::is_integral_v<T>) {  // which wraps
      return static_cast<T>(static_cast<emulator::Word<T>>(old) +
                            static_cast<emulator::Word<T>>(value));
    } else {
      return old + value;
    }
  });
}
/// T is an integer of 32 or 64 bits.
template <class T>
LINNET_DEVICE T atomic_max(T* at, T value) {
  static_assert(std::is_integral_v<T>);
  return emulator::atomic_update(at, [value](T old) { return old < value ? value : old; });
}
template <class T>
LINNET_DEVICE T atomic_min(T* at, T value) {
  static_assert(std::is_integral_v<T>);
  return emulator::atomic_update(at, [value](T old) { return value < old ? value : old; });
}
/// T has 4 or 8 bytes.
template <class T>
LINNET_DEVICE T atomic_exchange(T* at, T value) {
  return emulator::atomic_update(at, [value](T) { return value; });
}
/// Compares bits. @return what was there.
template <class T>
LINNET_DEVICE T atomic_compare_exchange(T* at, T expected, T value) {
  using Word = emulator::Word<T>;
  Word old = __builtin_bit_cast(Word, expected);
  __atomic_compare_exchange_n(reinterpret_cast<Word*>(at), &old, __builtin_bit_cast(Word, value),
                              false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return __builtin_bit_cast(T, old);
}
/// What this thread wrote is seen by other blocks before what it writes from now on.
LINNET_DEVICE void fence_device() { emulator::fence(); }

namespace emulator {

/// Subnormal numbers become zeros of the same sign, as `.ftz` says.
inline float flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

}  // namespace emulator

/// ex2.approx, rcp.approx and rsqrt.approx: for results of 16 bits. Here they are exact.
LINNET_DEVICE float exp2_approximate(float x) {
  return emulator::flush(std::exp2(emulator::flush(x)));
}
LINNET_DEVICE float reciprocal_approximate(float x) {
  return emulator::flush(1.0f / emulator::flush(x));
}
LINNET_DEVICE float reciprocal_sqrt_approximate(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(emulator::flush(x))));
}

LINNET_DEVICE uint32_t multiply_high(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
LINNET_DEVICE int leading_zeros(uint32_t x) { return x == 0 ? 32 : __builtin_clz(x); }
LINNET_DEVICE int count_bits(uint32_t x) { return __builtin_popcount(x); }

LINNET_DEVICE void check_alignment(const void* at, size_t bytes, const Caller& caller) {
  if (reinterpret_cast<uintptr_t>(at) % bytes != 0) emulator::fail_alignment(at, bytes, caller);
}

/// Device memory that no thread of the launch writes. T has 1, 2, 4, 8 or 16 bytes, and `at` is a
/// multiple of its size.
template <class T>
LINNET_DEVICE T load_read_only(const T* at, const Caller& caller = Caller::current()) {
  static_assert(sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0);
  check_alignment(at, sizeof(T), caller);
  return *at;
}

}  // namespace linnet::cuda
