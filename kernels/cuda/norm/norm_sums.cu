#include "kernels/cuda/norm/column_sums.cuh"

namespace linnet::cuda {

template <class W>
LINNET_DEVICE void norm_finish_sums(const FinishSumsArgs& args) {
  const PartsPlace place;
  const auto sums =
      finished_sums(static_cast<const W*>(args.first.get()),
                    static_cast<const W*>(args.second.get()), args.columns, args.parts, place);
  if (place.group != 0 || place.column >= args.columns) return;
  if (args.dscale.word != 0)
    static_cast<W*>(args.dscale.get())[place.column] = static_cast<W>(sums.first);
  if (args.dbias.word != 0)
    static_cast<W*>(args.dbias.get())[place.column] = static_cast<W>(sums.second);
}

#define X(name, dtype, T, width)                         \
  LINNET_KERNEL(name, ColumnSumsArgs, kColumnThreads) {  \
    column_sums<T, width, true>(args, WholeCotangent()); \
  }
LINNET_NORM_SUMS_KERNELS(X)
#undef X
#define X(name, dtype, W) \
  LINNET_KERNEL(name, FinishSumsArgs, kColumnThreads) { norm_finish_sums<W>(args); }
LINNET_NORM_FINISH_SUMS_KERNELS(X)
#undef X

}  // namespace linnet::cuda
