// mma.h for nvcc and NVRTC.
#pragma once

#include "kernels/cuda/device/mma.h"

namespace linnet::cuda {

/// d += a b, of numbers of type T: Bf16 or Half. All lanes of the warp take part.
template <class T>
LINNET_DEVICE void mma_m16n8k16(MatrixD& d, const MatrixA& a, const MatrixB& b);

#define LINNET_MMA(T, name)                                                                        \
  template <>                                                                                      \
  LINNET_DEVICE void mma_m16n8k16<T>(MatrixD & d, const MatrixA& a, const MatrixB& b) {            \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." name "." name                            \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"            \
                 : "+f"(d.value[0]), "+f"(d.value[1]), "+f"(d.value[2]), "+f"(d.value[3])          \
                 : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), \
                   "r"(b.word[1]));                                                                \
  }
LINNET_MMA(Bf16, "bf16")
LINNET_MMA(Half, "f16")
#undef LINNET_MMA

LINNET_DEVICE unsigned shared_address(const void* at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

/// Four matrices of 8 x 8 numbers of 16 bits from shared memory: `row`, a multiple of 16 bytes, is
/// row lane % 8 of matrix lane / 8. Word i of a lane is the pair of columns lane % 4 in row
/// lane / 4 of matrix i.
LINNET_DEVICE void load_matrices(uint32_t (&word)[4], const void* row, const Caller& = {}) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same of the transposed matrices.
LINNET_DEVICE void load_transposed(uint32_t (&word)[4], const void* row, const Caller& = {}) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
               : "r"(shared_address(row))
               : "memory");
}

/// Starts to copy 16 bytes to shared memory; both addresses are multiples of 16.
LINNET_DEVICE void start_copy(void* shared, const void* global, const Caller& = {}) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global))
               : "memory");
}
/// What this thread has started since the last call is one group.
LINNET_DEVICE void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until all groups of this thread but the last `kGroups` are there. Other threads see them
/// after a barrier.
template <int kGroups>
LINNET_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

}  // namespace linnet::cuda
