// Sums over rows of dy (x - mean) rstd and of dy.
#pragma once

#include "kernels/cuda/norm/columns.cuh"

namespace linnet::cuda {

/// A cotangent as it is.
struct WholeCotangent {
  template <class W>
  LINNET_DEVICE W operator()(W, W cotangent, int) const {
    return cotangent;
  }
};

/// @param kOfRows whether mean and rstd are of rows; else the mean is of columns, and rstd one.
/// @param part_of gives what counts of the cotangent of an element x, in column j of the thread's.
template <class T, int width, bool kOfRows, class PartOf>
LINNET_DEVICE void column_sums(const ColumnSumsArgs& args, const PartOf& part_of) {
  using W = Wide<T>;
  const ColumnPlace<width> place(args.layout);
  const int columns = args.layout.columns;
  const T *x = static_cast<const T*>(args.x.get()), *dy = static_cast<const T*>(args.dy.get());
  const bool has_mean = args.mean.word != 0;
  W mean[width] = {}, first[width] = {}, second[width] = {};
  if (!kOfRows && place.inside) load_widened<W>(args.mean.get(), place.column, mean);
  for (int64_t row = place.first_row; place.inside && row < place.last_row; row += place.row_step) {
    const int64_t at = row * columns + place.column;
    const Pack<T, width> values = load_pack<width>(x + at), cotangents = load_pack<width>(dy + at);
    W row_mean = 0, rstd = 1;
    if constexpr (kOfRows) {
      if (has_mean) row_mean = static_cast<const W*>(args.mean.get())[row];
      rstd = static_cast<const W*>(args.rstd.get())[row];
    }
    LINNET_UNROLL
    for (int j = 0; j < width; ++j) {
      const W value = to_wide(values[j]), shift = kOfRows ? row_mean : mean[j];
      const W ct = part_of(value, to_wide(cotangents[j]), j);
      first[j] += ct * ((value - shift) * rstd);
      second[j] += ct;
    }
  }
  W* const first_out = static_cast<W*>(args.first.get()) + int64_t{block_y()} * columns;
  W* const second_out = static_cast<W*>(args.second.get()) + int64_t{block_y()} * columns;
  LINNET_UNROLL
  for (int j = 0; j < width; ++j) {
    const auto total = reduce_rows(SumPair<W>{first[j], second[j]}, args.layout.across, Sum());
    if (place.inside && thread() < args.layout.across) {
      first_out[place.column + j] = total.first;
      second_out[place.column + j] = total.second;
    }
  }
}

/// The sums of one column over all parts, in double; all groups get them.
template <class W>
LINNET_DEVICE SumPair<double> finished_sums(const W* first, const W* second, int columns, int parts,
                                            const PartsPlace& place) {
  SumPair<double> sums{0, 0};
  if (place.column < columns) {
    for (int part = place.group; part < parts; part += kPartGroups) {
      const int64_t at = int64_t{part} * columns + place.column;
      sums =
          sums + SumPair<double>{static_cast<double>(first[at]), static_cast<double>(second[at])};
    }
  }
  return reduce_rows(sums, kWarp, Sum());
}

}  // namespace linnet::cuda
