// Rows of reductions, cumulative operations and sorting.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/ops/reduce.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

const Values kLine = uniform(-3, 3);
using Line = std::vector<double>;

double total(const Line& x) { return std::accumulate(x.begin(), x.end(), 0.0); }
double product(const Line& x) {
  return std::accumulate(x.begin(), x.end(), 1.0, std::multiplies<>());
}
double largest(const Line& x) {
  double out = -INFINITY;
  for (double v : x) out = std::isnan(v) || std::isnan(out) ? std::nan("") : std::max(out, v);
  return out;
}
double smallest(const Line& x) {
  double out = INFINITY;
  for (double v : x) out = std::isnan(v) || std::isnan(out) ? std::nan("") : std::min(out, v);
  return out;
}

Line running(Line x, double (*step)(double, double)) {
  for (size_t i = 1; i < x.size(); ++i) x[i] = step(x[i - 1], x[i]);
  return x;
}
Line backwards(Line x, double (*step)(double, double)) {
  std::reverse(x.begin(), x.end());
  x = running(std::move(x), step);
  std::reverse(x.begin(), x.end());
  return x;
}
double plus(double a, double b) { return a + b; }
double times(double a, double b) { return a * b; }
double maximum_of(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b);
}

void add_sums(OpTable& table) {
  table.add("reduce_sum",
            [](const Tensor& x) {
              return sum(x, Axes{0, 2});
            })
      .sample({{{2, 3, 4}, kLine}})
      .sample({{{7, 1, 11}, kLine}})
      .sample({{{0, 3, 2}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kAccumulated)
      .linear()
      .reordered_within(1e-13)
      .reference([](const HostArray& x) {
        return fold_lines(x, {0, 2}, total);
      });
  table.add("reduce_sum_all", [](const Tensor& x) { return sum(x); })
      .of("reduce_sum")
      .sample({{{3, 5}, kLine}})
      .sample({{{0}, kLine}})
      .sample({{{67}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kAccumulated)
      .linear()
      .reordered_within(1e-13)
      .reference([](const HostArray& x) { return HostArray({}, {total(x.values)}); });
  table.add("reduce_prod", [](const Tensor& x) { return prod(x, Axes{1}); })
      .sample({{{3, 4}, uniform(0.5, 2)}})
      .sample({{{4, 1}, kLine}})
      .sample({{{2, 0}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kAccumulated)
      .reference([](const HostArray& x) { return fold_lines(x, {1}, product); });
  table.add("reduce_prod_zeros", [](const Tensor& x) { return prod(x, Axes{1}); })
      .of("reduce_prod")
      .sample({{{3, 3}, given({2, 0, 3, 0, 0, 5, 1.5, -2, 0.5})}})
      .takes(Takes::kAny)
      .gives(Gives::kAccumulated)
      .reference([](const HostArray& x) { return fold_lines(x, {1}, product); });
  table.add("sum_of_squares", [](const TensorList& x) { return sum_of_squares(x); })
      .sample({{{3, 2}, kLine}, {{4}, kLine}})
      .sample({{{}, kLine}})
      .sample({{{0}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kUnchecked)
      .reordered_within(1e-13)
      .reference([](const HostArrays& x) {
        double sum = 0;
        for (const HostArray& t : x) {
          for (double v : t.values) sum += v * v;
        }
        return HostArray({}, {sum});
      });
}

void add_extremes(OpTable& table) {
  table.add("reduce_max", [](const Tensor& x) { return max(x, Axes{0}); })
      .sample({{{5, 3}, kLine}})
      .sample({{{1, 4}, kLine}})
      .sample({{{3, 0}, kLine}})
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArray& x) { return fold_lines(x, {0}, largest); });
  table.add("reduce_max_all", [](const Tensor& x) { return max(x); })
      .of("reduce_max")
      .sample({{{67}, kLine}})
      .sample({{{2, 3, 2}, kLine}})
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArray& x) { return HostArray({}, {largest(x.values)}); });
  table.add("reduce_min", [](const Tensor& x) { return min(x, Axes{1}); })
      .sample({{{3, 5}, kLine}})
      .sample({{{4, 1}, kLine}})
      .sample({{{0, 3}, kLine}})
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArray& x) { return fold_lines(x, {1}, smallest); });
  table.add("reduce_and", [](const Tensor& x) { return all(x, Axes{1}); })
      .sample({{{5, 2}, integers(0, 1).as(DType::kBool)}})
      .sample({{{3, 0}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kBool)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return fold_lines(x, {1}, [](const Line& l) { return double(product(l) != 0); });
      });
  table.add("reduce_or", [](const Tensor& x) { return any(x, Axes{0}); })
      .sample({{{2, 5}, integers(0, 1).as(DType::kBool)}})
      .sample({{{0, 3}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kBool)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return fold_lines(x, {0}, [](const Line& l) {
          return double(std::any_of(l.begin(), l.end(), [](double v) { return v != 0; }));
        });
      });
  table.add("argmax", [](const Tensor& x) { return argmax(x, 1); })
      .sample({{{4, 5}, kLine}})
      .sample({{{2, 4}, given({1, 3, 3, 2, NAN, 5, NAN, 7})}})
      .takes(Takes::kAny)
      .gives(Gives::kI32)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return fold_lines(x, {1}, [](const Line& l) {
          const double top = largest(l);
          for (size_t i = 0; i < l.size(); ++i) {
            if (l[i] == top || std::isnan(l[i])) return double(i);
          }
          return -1.0;
        });
      });
  table.add("argmin", [](const Tensor& x) { return argmin(x, 0); })
      .sample({{{4, 5}, kLine}})
      .sample({{{4, 2}, given({1, 3, 0.5, 2, 0.5, NAN, 7, 0})}})
      .takes(Takes::kAny)
      .gives(Gives::kI32)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return fold_lines(x, {0}, [](const Line& l) {
          const double least = smallest(l);
          for (size_t i = 0; i < l.size(); ++i) {
            if (l[i] == least || std::isnan(l[i])) return double(i);
          }
          return -1.0;
        });
      });
}

void add_cumulative(OpTable& table) {
  const auto row = [&](const char* name, const char* primitive, Tensor (*f)(const Tensor&)) {
    return table.add(name, f)
        .of(primitive)
        .sample({{{3, 5}, kLine}})
        .sample({{{2, 1}, kLine}})
        .sample({{{4, 0}, kLine}})
        .takes(Takes::kAny)
        .gives(Gives::kUnchecked);
  };
  row("cumsum", "cumsum", [](const Tensor& x) { return cumsum(x, 1); })
      .linear()
      .reference([](const HostArray& x) {
        return map_lines(x, 1, [](Line l) { return running(std::move(l), plus); });
      });
  row("cumsum_reverse", "cumsum", [](const Tensor& x) { return cumsum(x, 0, true); })
      .linear()
      .reference([](const HostArray& x) {
        return map_lines(x, 0, [](Line l) { return backwards(std::move(l), plus); });
      });
  row("cumprod", "cumprod", [](const Tensor& x) { return cumprod(x, 1); })
      .sample({{{2, 4}, given({2, 0, 3, 1, 0, 0.5, 0, 2})}})
      .reference([](const HostArray& x) {
        return map_lines(x, 1, [](Line l) { return running(std::move(l), times); });
      });
  row("cumprod_reverse", "cumprod", [](const Tensor& x) {
    return cumprod(x, 1, true);
  }).reference([](const HostArray& x) {
    return map_lines(x, 1, [](Line l) { return backwards(std::move(l), times); });
  });
  row("cummax", "cummax", [](const Tensor& x) { return cummax(x, 1); })
      .exact()
      .reference([](const HostArray& x) {
        return map_lines(x, 1, [](Line l) { return running(std::move(l), maximum_of); });
      });
  row("cummax_reverse", "cummax", [](const Tensor& x) { return cummax(x, 0, true); })
      .exact()
      .reference([](const HostArray& x) {
        return map_lines(x, 0, [](Line l) { return backwards(std::move(l), maximum_of); });
      });
}

bool before(double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

void add_sorts(OpTable& table) {
  const Values with_nan = given({2, NAN, -1, 2, NAN, 0, -INFINITY, INFINITY, 2, 1});
  table.add("sort", [](const Tensor& x) { return sort(x, 1); })
      .sample({{{3, 7}, kLine}})
      .sample({{{2, 1}, kLine}})
      .sample({{{2, 0}, kLine}})
      .takes(Takes::kAny)
      .exact()
      .exact_integers()
      .reference([](const HostArray& x) {
        return map_lines(x, 1, [](Line l) {
          std::stable_sort(l.begin(), l.end(), before);
          return l;
        });
      });
  table.add("sort_special", [](const Tensor& x) { return sort(x, 0); })
      .of("sort")
      .sample({{{10}, with_nan}})
      .takes(Takes::kAny)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return map_lines(x, 0, [](Line l) {
          std::stable_sort(l.begin(), l.end(), before);
          return l;
        });
      });
  table.add("argsort", [](const Tensor& x) { return argsort(x, 0); })
      .sample({{{7, 3}, kLine}})
      .sample({{{10}, with_nan}})
      .takes(Takes::kAny)
      .gives(Gives::kI32)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        return map_lines(x, 0, [](Line l) {
          std::vector<size_t> order(l.size());
          std::iota(order.begin(), order.end(), size_t{0});
          std::stable_sort(order.begin(), order.end(),
                           [&](size_t a, size_t b) { return before(l[a], l[b]); });
          return Line(order.begin(), order.end());
        });
      });
}

}  // namespace

void add_reduction_cases(OpTable& table) {
  add_sums(table);
  add_extremes(table);
  add_cumulative(table);
  add_sorts(table);
}

}  // namespace linnet::testing
