// Filters between [spatial, in, out], as Linnet keeps them, and [out, spatial, in], as cuDNN reads
// them beside channels-last images: the transpose of a matrix, by tiles.
#include "kernels/cuda/cudnn/filter_args.h"
#include "kernels/cuda/device/device.h"

namespace linnet::cuda {

template <class T>
LINNET_DEVICE void transpose_filter(const FilterArgs& args) {
  constexpr int kTile = kFilterTile, kRows = kFilterThreads / kTile;
  LINNET_SHARED(T, tile, kTile * (kTile + 1));
  const T* x = static_cast<const T*>(args.x.get());
  T* y = static_cast<T*>(args.y.get());
  const int64_t across = (args.columns + kTile - 1) / kTile;
  const int64_t column = block_x() % across * kTile, row = block_x() / across * kTile;
  const int inner = thread() % kTile, outer = thread() / kTile;
  LINNET_UNROLL
  for (int i = 0; i < kTile; i += kRows) {
    const int64_t r = row + outer + i, c = column + inner;
    if (r < args.rows && c < args.columns)
      tile[(outer + i) * (kTile + 1) + inner] = x[r * args.columns + c];
  }
  sync_block();
  LINNET_UNROLL
  for (int i = 0; i < kTile; i += kRows) {
    const int64_t r = row + inner, c = column + outer + i;
    if (r < args.rows && c < args.columns)
      y[c * args.rows + r] = tile[inner * (kTile + 1) + outer + i];
  }
}

#define LINNET_FILTER_KERNEL(name, T) \
  LINNET_KERNEL(name, FilterArgs, kFilterThreads) { transpose_filter<T>(args); }
LINNET_FILTER_KERNEL(filter_2, uint16_t)
LINNET_FILTER_KERNEL(filter_4, uint32_t)
LINNET_FILTER_KERNEL(filter_8, uint64_t)

}  // namespace linnet::cuda
