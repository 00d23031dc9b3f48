// mma.h for g++: the operations of mma_cuda.h on the emulated machine.
#pragma once

#include <cstring>

#include "kernels/cuda/device/mma.h"

namespace linnet::cuda {

namespace emulator {

/// Calls read(lanes) where lanes[i] is what lane i brought, while all lanes still hold it.
template <class Part, class Read>
void with_parts_of_warp(const Part& own, const Caller& caller, Read read) {
  const uint64_t values =
      meet_lanes(Operation::kGather, ~0u, reinterpret_cast<uintptr_t>(&own), 0, caller);
  read(reinterpret_cast<const Part* const*>(values));
  meet_lanes(Operation::kSyncWarp, ~0u, 0, 0, caller);
}

/// Number `second` of a word of two.
template <class T>
float number_of(uint32_t word, int second) {
  return to_float(T{static_cast<uint16_t>(word >> 16 * second)});
}

/// The numbers of a row, of a lane.
struct MatrixRow {
  uint32_t word[4];
};
inline MatrixRow row_at(const void* at, const Caller& caller) {
  check_alignment(at, sizeof(MatrixRow), caller);
  MatrixRow row;
  std::memcpy(&row, at, sizeof row);
  return row;
}

}  // namespace emulator

/// d += a b, of numbers of type T: Bf16 or Half. All lanes of the warp take part. Here products are
/// exact and added one after the other.
template <class T>
LINNET_DEVICE void mma_m16n8k16(MatrixD& d, const MatrixA& a, const MatrixB& b,
                                const Caller& caller = Caller::current()) {
  struct Parts {
    MatrixA a;
    MatrixB b;
  };
  const Parts own{a, b};
  emulator::with_parts_of_warp(own, caller, [&](const Parts* const* lanes) {
    for (int i = 0; i < 4; ++i) {
      const int row = row_of_d(i), column = column_of_d(i);
      for (int k = 0; k < 16; ++k) {
        const MatrixA& left = lanes[row % 8 * 4 + k % 8 / 2]->a;
        const MatrixB& right = lanes[column * 4 + k % 8 / 2]->b;
        d.value[i] += emulator::number_of<T>(left.word[row / 8 + k / 8 * 2], k % 2) *
                      emulator::number_of<T>(right.word[k / 8], k % 2);
      }
    }
  });
}

/// Four matrices of 8 x 8 numbers of 16 bits from shared memory: `row`, a multiple of 16 bytes, is
/// row lane % 8 of matrix lane / 8. Word i of a lane is the pair of columns lane % 4 in row
/// lane / 4 of matrix i.
LINNET_DEVICE void load_matrices(uint32_t (&word)[4], const void* row,
                                 const Caller& caller = Caller::current()) {
  const emulator::MatrixRow own = emulator::row_at(row, caller);
  emulator::with_parts_of_warp(own, caller, [&](const emulator::MatrixRow* const* lanes) {
    for (int i = 0; i < 4; ++i) word[i] = lanes[i * 8 + lane() / 4]->word[lane() % 4];
  });
}
/// The same of the transposed matrices.
LINNET_DEVICE void load_transposed(uint32_t (&word)[4], const void* row,
                                   const Caller& caller = Caller::current()) {
  const emulator::MatrixRow own = emulator::row_at(row, caller);
  emulator::with_parts_of_warp(own, caller, [&](const emulator::MatrixRow* const* lanes) {
    const int column = lane() / 4;
    for (int i = 0; i < 4; ++i) {
      const auto number = [&](int at) {
        return lanes[i * 8 + at]->word[column / 2] >> column % 2 * 16 & 0xffffu;
      };
      word[i] = number(lane() % 4 * 2) | number(lane() % 4 * 2 + 1) << 16;
    }
  });
}

/// Starts to copy 16 bytes to shared memory; both addresses are multiples of 16. Here it happens
/// when it is waited for, so that a missing wait is seen.
LINNET_DEVICE void start_copy(void* shared, const void* global,
                              const Caller& caller = Caller::current()) {
  check_alignment(shared, 16, caller);
  check_alignment(global, 16, caller);
  emulator::start_copy({shared, global, 16});
}
/// What this thread has started since the last call is one group.
LINNET_DEVICE void close_copies() { emulator::close_group(); }
/// Waits until all groups of this thread but the last `kGroups` are there. Other threads see them
/// after a barrier.
template <int kGroups>
LINNET_DEVICE void wait_for_copies() {
  emulator::AsyncCopy copy;
  while (emulator::take_copy(kGroups, copy)) std::memcpy(copy.to, copy.from, copy.bytes);
}

}  // namespace linnet::cuda
