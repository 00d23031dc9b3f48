// Transposes through tiles in shared memory: both sides are read and written along their rows.
#include "kernels/cuda/copy/copy_args.h"
#include "kernels/cuda/device/index_space.h"

namespace linnet::cuda {

template <class T>
LINNET_DEVICE void transpose_tiles(const TransposeArgs& args) {
  constexpr int kTile = kTransposeTile<sizeof(T)>;
  // Rows of the tile begin in different banks.
  constexpr int kRow = kTile + (sizeof(T) < 4 ? 4 / sizeof(T) : 1);
  LINNET_SHARED(T, tile, kTile * kRow);
  uint32_t block = static_cast<uint32_t>(block_x());
  const uint32_t strips = quotient(block, args.column_tiles);
  const int column = static_cast<int>(block - strips * args.column_tiles.value) * kTile;
  const uint32_t matrix = quotient(strips, args.row_tiles);
  const int row = static_cast<int>(strips - matrix * args.row_tiles.value) * kTile;
  int64_t offsets[2];
  locate(args.space, matrix, offsets);
  const char* from = args.x.get() + offsets[0];
  char* to = args.y.get() + offsets[1];
  LINNET_UNROLL
  for (int i = 0; i < kTile * kTile / kCopyThreads; ++i) {
    const int at = thread() + i * kCopyThreads, r = at % kTile, c = at / kTile;
    if (row + r < args.rows && column + c < args.columns) {
      tile[c * kRow + r] =
          reinterpret_cast<const T*>(from + (column + c) * args.column_stride)[row + r];
    }
  }
  sync_block();
  LINNET_UNROLL
  for (int i = 0; i < kTile * kTile / kCopyThreads; ++i) {
    const int at = thread() + i * kCopyThreads, c = at % kTile, r = at / kTile;
    if (row + r < args.rows && column + c < args.columns)
      reinterpret_cast<T*>(to + (row + r) * args.row_stride)[column + c] = tile[c * kRow + r];
  }
}

#define LINNET_TRANSPOSE_KERNEL(name, T) \
  LINNET_KERNEL(name, TransposeArgs, kCopyThreads) { transpose_tiles<T>(args); }
LINNET_TRANSPOSE_KERNEL(transpose_1, uint8_t)
LINNET_TRANSPOSE_KERNEL(transpose_2, uint16_t)
LINNET_TRANSPOSE_KERNEL(transpose_4, uint32_t)
LINNET_TRANSPOSE_KERNEL(transpose_8, uint64_t)

}  // namespace linnet::cuda
