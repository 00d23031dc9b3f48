// Sums over all rows of per-row vectors, in a fixed order: rows are cut into parts by their number
// alone, a part adds in the arithmetic type for a few rows at a time and carries the total in
// double, and the parts are added in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

namespace linnet::cpu {

inline int64_t row_parts(int64_t rows) { return std::clamp<int64_t>((rows + 63) / 64, 1, 64); }

/// What `sum_over_rows` works in.
template <class W>
struct RowSums {
  RowSums(Workspace& w, int64_t rows, int64_t width)
      : totals(w.take<double>(row_parts(rows) * width)), sums(w.take<W>(row_parts(rows) * width)) {}
  double* totals;  ///< [parts, width]
  W* sums;         ///< [parts, width]
};

/// Adds `width` sums over `rows` rows. accumulate(first_row, row_count, sums) adds rows to `sums`
/// (W[width], zeroed by the caller for every block); make_accumulate(slot) is called once per
/// thread range, for a slot below `row_parts(rows)` that no other has at the same time.
/// `row_length` is the work of a row. The totals are the first `width` of those in `space`.
template <class W, class MakeAccumulate>
const double* sum_over_rows(int64_t rows, int64_t width, int64_t row_length,
                            const RowSums<W>& space, MakeAccumulate&& make_accumulate) {
  constexpr int64_t kBlockRows = 64;
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t parts = row_parts(rows);
  double* const totals = space.totals;
  std::fill_n(totals, parts * width, 0.0);
  const int64_t grain =
      std::max<int64_t>(1, 16384 / std::max<int64_t>(1, (rows / parts + 1) * row_length));
  parallel_for_slots(parts, grain, [&](int64_t begin, int64_t end, int64_t slot) {
    const auto accumulate = make_accumulate(slot);
    for (int64_t part = begin; part < end; ++part) {
      double* total = totals + part * width;
      W* sums = space.sums + part * width;
      const int64_t last_block = blocks * (part + 1) / parts;
      for (int64_t block = blocks * part / parts; block < last_block; ++block) {
        std::fill_n(sums, width, W(0));
        const int64_t first = block * kBlockRows;
        accumulate(first, std::min(kBlockRows, rows - first), sums);
        for (int64_t i = 0; i < width; ++i) total[i] += static_cast<double>(sums[i]);
      }
    }
  });
  for (int64_t part = 1; part < parts; ++part) {
    for (int64_t i = 0; i < width; ++i) totals[i] += totals[part * width + i];
  }
  return totals;
}

}  // namespace linnet::cpu
