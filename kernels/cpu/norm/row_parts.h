// Sums over all rows of per-row vectors, in a fixed order: rows are cut into parts by their number
// alone, a part adds in the arithmetic type for a few rows at a time and carries the total in
// double, and the parts are added in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "linnet/parallel.h"

namespace linnet::cpu {

/// Adds `width` sums over `rows` rows. accumulate(first_row, row_count, sums) adds rows to `sums`
/// (W[width], zeroed by the caller for every block); make_accumulate() is called once per thread
/// range so that it can own scratch memory. `row_length` is the work of a row. Returns the totals.
template <class W, class MakeAccumulate>
std::vector<double> sum_over_rows(int64_t rows, int64_t width, int64_t row_length,
                                  MakeAccumulate&& make_accumulate) {
  constexpr int64_t kBlockRows = 64;
  constexpr int64_t kMaxParts = 64;
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t parts = std::clamp<int64_t>(blocks, 1, kMaxParts);
  std::vector<double> totals(static_cast<size_t>(parts * width));
  const int64_t grain =
      std::max<int64_t>(1, 16384 / std::max<int64_t>(1, (rows / parts + 1) * row_length));
  parallel_for(parts, grain, [&](int64_t begin, int64_t end) {
    std::vector<W> sums(static_cast<size_t>(width));
    auto accumulate = make_accumulate();
    for (int64_t part = begin; part < end; ++part) {
      double* total = totals.data() + part * width;
      const int64_t last_block = blocks * (part + 1) / parts;
      for (int64_t block = blocks * part / parts; block < last_block; ++block) {
        std::fill(sums.begin(), sums.end(), W(0));
        const int64_t first = block * kBlockRows;
        accumulate(first, std::min(kBlockRows, rows - first), sums.data());
        for (int64_t i = 0; i < width; ++i)
          total[i] += static_cast<double>(sums[static_cast<size_t>(i)]);
      }
    }
  });
  for (int64_t part = 1; part < parts; ++part) {
    for (int64_t i = 0; i < width; ++i)
      totals[static_cast<size_t>(i)] += totals[static_cast<size_t>(part * width + i)];
  }
  totals.resize(static_cast<size_t>(width));
  return totals;
}

}  // namespace linnet::cpu
