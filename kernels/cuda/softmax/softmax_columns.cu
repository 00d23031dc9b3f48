// Softmax over an axis that is not the last: a block takes 32 neighbouring columns, its eight warps
// every eighth element of the axis.
#include "kernels/cuda/softmax/softmax_backward.cuh"
#include "kernels/cuda/softmax/softmax_columns.cuh"

namespace linnet::cuda {

template <class T>
LINNET_DEVICE ExponentialSum<Wide<T>> exponential_sum_of_column(const T* x,
                                                                const ColumnTile& tile) {
  using W = Wide<T>;
  ExponentialSum<W> total{-infinity<W>(), W(0)};
  constexpr int kBatch = 4;
  for (int first = warp(); tile.inside && first < tile.axis; first += kBatch * kTileGroups) {
    W values[kBatch];
    LINNET_UNROLL
    for (int i = 0; i < kBatch; ++i) {
      const int at = first + i * kTileGroups;
      values[i] = at < tile.axis ? to_wide(x[tile.at(at)]) : -infinity<W>();
    }
    add_exponentials<T>(total, values);
  }
  return reduce_groups(total, MergeExponentialSums<T>());
}

template <class T>
LINNET_DEVICE void softmax_columns(const SoftmaxColumnsArgs& args) {
  using W = Wide<T>;
  const ColumnTile tile(args);
  const T* x = static_cast<const T*>(args.x.get());
  T* y = static_cast<T*>(args.y.get());
  const ExponentialSum<W> column = exponential_sum_of_column(x, tile);
  const W sum = is_infinite(column.high) ? not_a_number<W>() : column.sum;
  const W factor = W(1) / sum, offset = scalar::log(sum);
  for (int i = warp(); tile.inside && i < tile.axis; i += kTileGroups) {
    const W value = to_wide(x[tile.at(i)]);
    y[tile.at(i)] =
        from_wide<T>(args.logarithm ? value - column.high - offset
                                    : shifted_exponential<T>(value, column.high) * factor);
  }
}

template <class T>
LINNET_DEVICE void logsumexp_columns(const SoftmaxColumnsArgs& args) {
  const ColumnTile tile(args);
  const auto column = exponential_sum_of_column(static_cast<const T*>(args.x.get()), tile);
  if (tile.inside && warp() == 0) {
    static_cast<T*>(args.y.get())[tile.outer * tile.inner + tile.column] =
        from_wide<T>(scalar::log(column.sum) + finite_shift(column.high));
  }
}

template <class T>
LINNET_DEVICE void softmax_columns_backward(const SoftmaxColumnsArgs& args) {
  using W = Wide<T>;
  const ColumnTile tile(args);
  const T *y = static_cast<const T*>(args.x.get()), *dy = static_cast<const T*>(args.dy.get());
  T* dx = static_cast<T*>(args.y.get());
  W sum = 0;
  for (int i = warp(); tile.inside && i < tile.axis; i += kTileGroups)
    sum += softmax_term<T>(to_wide(y[tile.at(i)]), to_wide(dy[tile.at(i)]), args.logarithm);
  sum = reduce_groups(sum, Sum());
  for (int i = warp(); tile.inside && i < tile.axis; i += kTileGroups) {
    const int64_t at = tile.at(i);
    dx[at] = softmax_gradient<T>(to_wide(y[at]), to_wide(dy[at]), sum, args.logarithm);
  }
}

#define X(name, dtype, T) \
  LINNET_KERNEL(name, SoftmaxColumnsArgs, kTileThreads) { softmax_columns<T>(args); }
LINNET_SOFTMAX_COLUMNS_KERNELS(X)
#undef X
#define X(name, dtype, T) \
  LINNET_KERNEL(name, SoftmaxColumnsArgs, kTileThreads) { logsumexp_columns<T>(args); }
LINNET_LOGSUMEXP_COLUMNS_KERNELS(X)
#undef X
#define X(name, dtype, T) \
  LINNET_KERNEL(name, SoftmaxColumnsArgs, kTileThreads) { softmax_columns_backward<T>(args); }
LINNET_SOFTMAX_COLUMNS_BACKWARD_KERNELS(X)
#undef X

}  // namespace linnet::cuda
