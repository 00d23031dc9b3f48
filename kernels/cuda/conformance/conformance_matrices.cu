#include "kernels/cuda/conformance/conformance_args.h"
#include "kernels/cuda/device/mma.h"

namespace linnet::cuda {
namespace {

/// What is copied and loaded at once; arrays of it are aligned for that.
using Row = Pack<unsigned short, 8>;

/// D = count A B of one warp: A [16, 16] and B [16, 8] of numbers of 16 bits come one after the
/// other, in the order of rows.
template <class T>
LINNET_DEVICE void multiply(const ConformanceArgs& args) {
  LINNET_SHARED(Row, left, 16 * 2);
  LINNET_SHARED(Row, right, 16);
  const unsigned* in = args.in.get();
  start_copy(left + lane(), in + lane() * 4);
  close_copies();
  if (lane() < 16) start_copy(right + lane(), in + 128 + lane() * 4);
  close_copies();
  wait_for_copies<1>();
  sync_warp();
  MatrixA a;
  const int matrix = lane() / 8;
  load_matrices(a.word, left + (lane() % 8 + matrix % 2 * 8) * 2 + matrix / 2);
  wait_for_copies<0>();
  sync_warp();
  uint32_t words[4];
  load_transposed(words, right + lane() % 8 + matrix % 2 * 8);
  const MatrixB b{{words[0], words[1]}};
  MatrixD d{};
  for (int i = 0; i < args.count; ++i) mma_m16n8k16<T>(d, a, b);
  float* out = reinterpret_cast<float*>(args.out.get());
  for (int i = 0; i < 4; ++i) out[row_of_d(i) * 8 + column_of_d(i)] = d.value[i];
}

}  // namespace

LINNET_KERNEL(conformance_mma_bf16, ConformanceArgs, 32) { multiply<Bf16>(args); }
LINNET_KERNEL(conformance_mma_f16, ConformanceArgs, 32) { multiply<Half>(args); }

// What each lane holds of A, B and of a transposed matrix, by the places that mma.h tells.
LINNET_KERNEL(conformance_matrix_places, ConformanceArgs, 32) {
  LINNET_SHARED(Row, numbers, 16 * 2);
  for (int i = 0; i < 8; ++i) numbers[lane()][i] = static_cast<unsigned short>(lane() * 8 + i);
  sync_warp();
  uint32_t words[4], transposed[4];
  const int matrix = lane() / 8;
  const Row* row = numbers + (lane() % 8 + matrix % 2 * 8) * 2 + matrix / 2;
  load_matrices(words, row);
  load_transposed(transposed, row);
  unsigned* out = args.out.get() + lane() * 16;
  for (int i = 0; i < 4; ++i) {
    out[i] = words[i];
    out[4 + i] = static_cast<unsigned>(row_of_a(i) * 16 + column_of_a(i));
    out[8 + i] = transposed[i];
    out[12 + i] = static_cast<unsigned>(row_of_b(i % 2) * 16 + column_of_b(i % 2) + i / 2 * 8);
  }
}

}  // namespace linnet::cuda
