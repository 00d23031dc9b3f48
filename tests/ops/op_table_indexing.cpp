// Rows of slices, gathers and scatters.
#include <algorithm>
#include <cmath>

#include "core/ops/indexing.h"
#include "linnet/scatter.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

const Values kLine = uniform(-3, 3);

HostArray sliced(const HostArray& x, const Axes& start, const Shape& sizes, const Axes& strides) {
  HostArray y(sizes);
  for_each_index(sizes, [&](const Axes& to) {
    Axes from;
    for (size_t i = 0; i < to.size(); ++i) from.push_back(start[i] + to[i] * strides[i]);
    y.at(to) = x.at(from);
  });
  return y;
}

Axes clamped_starts(const HostArrays& x, size_t first, const Shape& sizes) {
  Axes start;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t size = x[0].shape[i];
    int64_t at = static_cast<int64_t>(x[first + i].values[0]);
    if (at < 0) at += size;
    start.push_back(std::clamp<int64_t>(at, 0, size - sizes[i]));
  }
  return start;
}

void add_slices(OpTable& table) {
  table.add("slice",
            [](const Tensor& x) {
              return slice(x, {1, 0}, {4, 5}, {1, 2});
            })
      .sample({{{5, 6}, kLine}})
      .sample({{{4, 5}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArray& x) {
        return sliced(x, {1, 0}, {3, 3}, {1, 2});
      });
  table.add("slice_empty", [](const Tensor& x) { return slice(x, {2}, {2}); })
      .of("slice")
      .sample({{{5}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](const HostArray&) { return HostArray(Shape{0}); });
  const Values anywhere = integers(-3, 6);
  table
      .add("dynamic_slice",
           [](const TensorList& x) {
             return dynamic_slice(x[0], {x[1], x[2]}, {2, 3});
           })
      .sample({{{4, 5}, kLine}, {{}, anywhere}, {{}, anywhere}})
      .sample({{{2, 3}, kLine}, {{}, anywhere}, {{}, anywhere}})
      .sample({{{9, 3}, kLine}, {{}, anywhere.as(DType::kI64)}, {{}, anywhere.as(DType::kI8)}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) {
        return sliced(x[0], clamped_starts(x, 1, {2, 3}), {2, 3}, {1, 1});
      });
  table
      .add("dynamic_update_slice",
           [](const TensorList& x) {
             return dynamic_update_slice(x[0], x[1], {x[2], x[3]});
           })
      .sample({{{4, 5}, kLine}, {{2, 3}, kLine}, {{}, anywhere}, {{}, anywhere}})
      .sample({{{4, 5}, kLine}, {{4, 5}, kLine}, {{}, anywhere}, {{}, anywhere}})
      .sample({{{4, 5}, kLine}, {{0, 2}, kLine}, {{}, anywhere}, {{}, anywhere}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) {
        HostArray y = x[0];
        const Axes start = clamped_starts(x, 2, x[1].shape);
        for_each_index(x[1].shape, [&](const Axes& from) {
          y.at({start[0] + from[0], start[1] + from[1]}) = x[1].at(from);
        });
        return y;
      });
}

/// Row `index` (wrapped once) of a matrix, or NaN; clipped ones are not wrapped.
HostArray rows_of(const HostArray& x, const HostArray& indices, bool clip) {
  Shape shape = indices.shape;
  shape.push_back(x.shape[1]);
  HostArray y(shape);
  for (size_t i = 0; i < indices.values.size(); ++i) {
    int64_t row = static_cast<int64_t>(indices.values[i]);
    if (row < 0 && !clip) row += x.shape[0];
    if (clip) row = std::clamp<int64_t>(row, 0, x.shape[0] - 1);
    for (int64_t j = 0; j < x.shape[1]; ++j) {
      const bool inside = row >= 0 && row < x.shape[0];
      y.values[i * static_cast<size_t>(x.shape[1]) + static_cast<size_t>(j)] =
          inside ? x.at({row, j}) : std::nan("");
    }
  }
  return y;
}

void add_gathers(OpTable& table) {
  table.add("gather", [](const TensorList& x) { return take(x[0], x[1], 0); })
      .sample({{{4, 3}, kLine}, {{2, 3}, integers(-4, 3)}})
      .sample({{{4, 3}, kLine}, {{}, integers(-4, 3)}})
      .sample({{{4, 3}, kLine}, {{0}, integers(-4, 3)}})
      .sample({{{5, 1}, kLine}, {{4}, integers(0, 4).as(DType::kU8)}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) { return rows_of(x[0], x[1], false); });
  table
      .add("gather_clip",
           [](const TensorList& x) { return take(x[0], x[1], 0, GatherMode::kClip); })
      .of("gather")
      .sample({{{4, 3}, kLine}, {{5}, integers(-9, 9)}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) { return rows_of(x[0], x[1], true); });
  table.add("gather_fill", [](const TensorList& x) { return take(x[0], x[1], 0); })
      .of("gather")
      .sample({{{3, 2}, kLine}, {{4}, given({-2, 7, 1, -9}).as(DType::kI32)}})
      .takes(Takes::kAny)
      .exact()
      .orders(0)
      .reference([](const HostArrays& x) { return rows_of(x[0], x[1], false); });
  table.add("gather_along_axis", [](const TensorList& x) { return take_along_axis(x[0], x[1], 1); })
      .of("gather")
      .sample({{{3, 4}, kLine}, {{3, 2}, integers(-4, 3)}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) {
        HostArray y(x[1].shape);
        for_each_index(y.shape, [&](const Axes& at) {
          int64_t column = static_cast<int64_t>(x[1].at(at));
          if (column < 0) column += x[0].shape[1];
          y.at(at) = x[0].at({at[0], column});
        });
        return y;
      });
  table
      .add("gather_windows",
           [](const TensorList& x) {
             return gather(x[0], x[1], {{1, 2}, {}, {0, 1}, {}, {}}, {2, 3}, GatherMode::kClip);
           })
      .of("gather")
      .sample({{{4, 5}, kLine}, {{3, 2}, integers(-2, 6)}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) {
        HostArray y({x[1].shape[0], 2, 3});
        for_each_index(y.shape, [&](const Axes& at) {
          const auto start = [&](int64_t d, int64_t most) {
            return std::clamp<int64_t>(static_cast<int64_t>(x[1].at({at[0], d})), 0, most);
          };
          y.at(at) = x[0].at({start(0, 2) + at[1], start(1, 2) + at[2]});
        });
        return y;
      });
}

/// `combine` puts the old number and the update together, along axis 0.
HostArray scattered(const HostArrays& x, double (*combine)(double, double)) {
  HostArray y = x[0];
  for (size_t i = 0; i < x[1].values.size(); ++i) {
    int64_t row = static_cast<int64_t>(x[1].values[i]);
    if (row < 0) row += y.shape[0];
    if (row < 0 || row >= y.shape[0]) continue;
    for (int64_t j = 0; j < y.shape[1]; ++j) {
      const double update =
          x[2].values[i * static_cast<size_t>(y.shape[1]) + static_cast<size_t>(j)];
      y.at({row, j}) = combine(y.at({row, j}), update);
    }
  }
  return y;
}

double smaller(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }
double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }

/// Windows of two rows and three columns that may overlap, clamped to where they fit.
const ScatterDims kWindows{{1, 2}, {}, {0, 1}, {}, {}};

CaseBuilder add_scattered_windows(CaseBuilder row, const char* primitive) {
  return row.of(primitive)
      .sample({{{4, 5}, kLine}, {{3, 2}, integers(-2, 6)}, {{3, 2, 3}, kLine}})
      .takes(Takes::kAny);
}

HostArray scattered_windows(const HostArrays& x, double (*combine)(double, double)) {
  HostArray y = x[0];
  for_each_index(x[2].shape, [&](const Axes& at) {
    const auto start = [&](int64_t d, int64_t most) {
      return std::clamp<int64_t>(static_cast<int64_t>(x[1].at({at[0], d})), 0, most);
    };
    double& number = y.at({start(0, 2) + at[1], start(1, 2) + at[2]});
    number = combine(number, x[2].at(at));
  });
  return y;
}

void add_scatters(OpTable& table) {
  table.add("scatter_add", [](const TensorList& x) { return index_add(x[0], x[1], x[2]); })
      .sample({{{4, 3}, kLine}, {{5}, integers(-4, 5)}, {{5, 3}, kLine}})
      .sample({{{4, 3}, kLine}, {{}, integers(0, 3)}, {{3}, kLine}})
      .sample({{{4, 3}, kLine}, {{0}, integers(0, 3)}, {{0, 3}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .scale(4)
      .reference([](const HostArrays& x) {
        return scattered(x, [](double a, double b) { return a + b; });
      });
  table.add("scatter", [](const TensorList& x) { return index_set(x[0], x[1], x[2]); })
      .sample({{{4, 3}, kLine}, {{5}, integers(-4, 5)}, {{5, 3}, kLine}})
      .sample({{{4, 3}, kLine}, {{}, integers(0, 3)}, {{3}, kLine}})
      .sample({{{4, 3}, kLine}, {{0}, integers(0, 3)}, {{0, 3}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference(
          [](const HostArrays& x) { return scattered(x, [](double, double b) { return b; }); });
  table.add("scatter_mul", [](const TensorList& x) { return index_mul(x[0], x[1], x[2]); })
      .sample({{{4, 3}, kLine}, {{5}, integers(-4, 5)}, {{5, 3}, kLine}})
      .sample({{{4, 3}, kLine}, {{}, integers(0, 3)}, {{3}, kLine}})
      .orders(2)
      .takes(Takes::kAny)
      .scale(4)
      .reference([](const HostArrays& x) {
        return scattered(x, [](double a, double b) { return a * b; });
      });
  table.add("scatter_min", [](const TensorList& x) { return index_min(x[0], x[1], x[2]); })
      .sample({{{4, 3}, kLine}, {{5}, integers(-4, 5)}, {{5, 3}, kLine}})
      .sample({{{4, 3}, kLine}, {{0}, integers(0, 3)}, {{0, 3}, kLine}})
      .orders(2)
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) { return scattered(x, smaller); });
  table.add("scatter_max", [](const TensorList& x) { return index_max(x[0], x[1], x[2]); })
      .sample({{{4, 3}, kLine}, {{5}, integers(-4, 5)}, {{5, 3}, kLine}})
      .sample({{{4, 3}, kLine}, {{}, integers(0, 3)}, {{3}, kLine}})
      .orders(2)
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) { return scattered(x, larger); });
  add_scattered_windows(table.add("scatter_add_windows",
                                  [](const TensorList& x) {
                                    return scatter_add(x[0], x[1], x[2], kWindows,
                                                       ScatterMode::kClip);
                                  }),
                        "scatter_add")
      .linear()
      .scale(4)
      .reference([](const HostArrays& x) {
        return scattered_windows(x, [](double a, double b) { return a + b; });
      });
  add_scattered_windows(table.add("scatter_mul_windows",
                                  [](const TensorList& x) {
                                    return scatter_mul(x[0], x[1], x[2], kWindows,
                                                       ScatterMode::kClip);
                                  }),
                        "scatter_mul")
      .orders(2)
      .scale(4)
      .reference([](const HostArrays& x) {
        return scattered_windows(x, [](double a, double b) { return a * b; });
      });
  add_scattered_windows(table.add("scatter_min_windows",
                                  [](const TensorList& x) {
                                    return scatter_min(x[0], x[1], x[2], kWindows,
                                                       ScatterMode::kClip);
                                  }),
                        "scatter_min")
      .orders(2)
      .exact()
      .reference([](const HostArrays& x) { return scattered_windows(x, smaller); });
  add_scattered_windows(table.add("scatter_max_windows",
                                  [](const TensorList& x) {
                                    return scatter_max(x[0], x[1], x[2], kWindows,
                                                       ScatterMode::kClip);
                                  }),
                        "scatter_max")
      .orders(2)
      .exact()
      .reference([](const HostArrays& x) { return scattered_windows(x, larger); });
  table
      .add("scatter_batched",
           [](const TensorList& x) {
             return scatter(x[0], x[1], x[2], {{}, {1}, {1}, {0}, {0}});
           })
      .of("scatter")
      .sample({{{3, 4}, kLine}, {{3, 2, 1}, integers(0, 4)}, {{3, 2}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](const HostArrays& x) {
        HostArray y = x[0];
        for_each_index(x[2].shape, [&](const Axes& at) {
          const int64_t column = static_cast<int64_t>(x[1].at({at[0], at[1], 0}));
          if (column < y.shape[1]) y.at({at[0], column}) = x[2].at(at);
        });
        return y;
      });
}

}  // namespace

void add_indexing_cases(OpTable& table) {
  add_slices(table);
  add_gathers(table);
  add_scatters(table);
}

}  // namespace linnet::testing
