// Softmax, its logarithm, log-sum-exp and their gradients: every instance on rows of many lengths,
// with NaN, infinities and rows of nothing but -infinity.
#include "kernels/cuda/loss/cross_entropy_args.h"
#include "kernels/cuda/softmax/softmax_args.h"

#include <algorithm>

#include "cuda/kernels/rows.h"

namespace linnet::cuda::softmax_test {
namespace {

constexpr int kRows = 6;

/// Rows of numbers, the last four with what is special.
Numbers special_rows(int columns) {
  Numbers x = some_numbers(static_cast<size_t>(kRows * columns), 6);
  const size_t n = static_cast<size_t>(columns);
  x[2 * n + n / 2] = kNan;
  x[3 * n + n / 3] = kInfinity;
  for (size_t i = 4 * n; i < 5 * n; ++i) x[i] = -kInfinity;
  for (size_t i = 5 * n; i + 1 < 6 * n; ++i) x[i] = -kInfinity;
  return x;
}

double highest(const double* x, int columns) {
  double high = -kInfinity;
  for (int i = 0; i < columns; ++i) high = x[i] > high || std::isnan(x[i]) ? x[i] : high;
  return high;
}

double expected_logsumexp(const double* x, int columns) {
  const double high = highest(x, columns), shift = std::isinf(high) ? 0 : high;
  double sum = 0;
  for (int i = 0; i < columns; ++i) sum += std::exp(x[i] - shift);
  return std::log(sum) + shift;
}

Numbers expected_softmax(const Numbers& x, int columns, bool logarithm) {
  Numbers out(x.size());
  for (size_t at = 0; at < x.size(); at += static_cast<size_t>(columns)) {
    const double high = highest(&x[at], columns);
    double sum = 0;
    for (int i = 0; i < columns; ++i) sum += std::exp(x[at + i] - high);
    for (int i = 0; i < columns; ++i) {
      const double apart = x[at + i] - high;
      out[at + i] = logarithm ? apart - std::log(sum) : std::exp(apart) / sum;
    }
  }
  return out;
}

Numbers expected_gradient(const Numbers& y, const Numbers& dy, int columns, bool logarithm) {
  Numbers out(y.size());
  for (size_t at = 0; at < y.size(); at += static_cast<size_t>(columns)) {
    double sum = 0;
    for (int i = 0; i < columns; ++i) sum += logarithm ? dy[at + i] : y[at + i] * dy[at + i];
    for (int i = 0; i < columns; ++i) {
      const size_t j = at + static_cast<size_t>(i);
      out[j] = logarithm ? dy[j] - std::exp(y[j]) * sum : y[j] * (dy[j] - sum);
    }
  }
  return out;
}

template <class T>
void check_softmax(const Instance& instance) {
  for_lengths(instance, [&](int columns) {
    const DeviceArray<T> x(special_rows(columns), instance.skew());
    for (const bool logarithm : {false, true}) {
      const DeviceArray<T> y(Numbers(x.numbers().size(), 99), instance.skew());
      emulator::launch(kernel_named(instance.name), instance.grid(kRows),
                       SoftmaxArgs{x, y, kRows, columns, logarithm});
      const double absolute = logarithm ? 4 * tolerance<T>() : 1e-7;
      EXPECT_EQ(difference(y.numbers(), expected_softmax(x.numbers(), columns, logarithm),
                           4 * tolerance<T>(), absolute),
                "");
    }
  });
}

template <class T>
void check_backward(const Instance& instance) {
  for_lengths(instance, [&](int columns) {
    const size_t size = static_cast<size_t>(kRows * columns);
    for (const bool logarithm : {false, true}) {
      const DeviceArray<T> y(expected_softmax(some_numbers(size, 3), columns, logarithm),
                             instance.skew());
      const DeviceArray<T> dy(some_numbers(size, 1, 2), instance.skew());
      const DeviceArray<T> dx(Numbers(size, 99), instance.skew());
      emulator::launch(kernel_named(instance.name), instance.grid(kRows),
                       SoftmaxBackwardArgs{y, dy, dx, kRows, columns, logarithm});
      // The sum of the logarithm's gradient is one of large terms.
      const double absolute = logarithm ? 20 * tolerance<T>() : 4 * tolerance<T>();
      EXPECT_EQ(
          difference(dx.numbers(), expected_gradient(y.numbers(), dy.numbers(), columns, logarithm),
                     4 * tolerance<T>(), absolute),
          "");
    }
  });
}

template <class T>
void check_logsumexp(const Instance& instance) {
  for_lengths(instance, [&](int columns) {
    const DeviceArray<T> x(special_rows(columns), instance.skew());
    const DeviceArray<T> y(Numbers(kRows, 99));
    emulator::launch(kernel_named(instance.name), instance.grid(kRows),
                     LogSumExpArgs{x, y, kRows, columns});
    const Numbers values = x.numbers();
    Numbers expected(kRows);
    for (int row = 0; row < kRows; ++row)
      expected[row] = expected_logsumexp(&values[static_cast<size_t>(row * columns)], columns);
    EXPECT_EQ(difference(y.numbers(), expected, 4 * tolerance<T>(), 4 * tolerance<T>()), "");
  });
}

#define LINNET_CHECK(check, name, T, ...) check<T>(Instance{#name, __VA_ARGS__});

TEST(SoftmaxKernels, rows){
#define X(name, dtype, T, ...) LINNET_CHECK(check_softmax, name, T, __VA_ARGS__)
    LINNET_SOFTMAX_KERNELS(X)
#undef X
}

TEST(SoftmaxKernels, gradients_of_rows){
#define X(name, dtype, T, ...) LINNET_CHECK(check_backward, name, T, __VA_ARGS__)
    LINNET_SOFTMAX_BACKWARD_KERNELS(X)
#undef X
}

TEST(SoftmaxKernels, logsumexp_of_rows){
#define X(name, dtype, T, ...) LINNET_CHECK(check_logsumexp, name, T, __VA_ARGS__)
    LINNET_LOGSUMEXP_KERNELS(X)
#undef X
}

/// [outer, axis, inner] as rows: the axis last.
Numbers transposed(const Numbers& x, int outer, int axis, int inner) {
  Numbers out(x.size());
  for (int o = 0; o < outer; ++o) {
    for (int a = 0; a < axis; ++a) {
      for (int i = 0; i < inner; ++i)
        out[static_cast<size_t>((o * inner + i) * axis + a)] =
            x[static_cast<size_t>((o * axis + a) * inner + i)];
    }
  }
  return out;
}

struct ColumnShape {
  int outer, axis, inner;
  size_t size() const { return static_cast<size_t>(outer * axis * inner); }
  emulator::Grid grid() const { return {static_cast<uint32_t>(outer * ((inner + 31) / 32))}; }
};
constexpr ColumnShape kColumnShapes[] = {{2, 1, 3}, {3, 5, 33}, {1, 100, 2}, {2, 33, 64}};

/// Calls check(shape) in all orders.
template <class Check>
void for_columns(const char* name, const Check& check) {
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    emulator::set_schedule(schedule, 3);
    for (const ColumnShape& shape : kColumnShapes) {
      SCOPED_TRACE(std::string(name) + ", axis of " + std::to_string(shape.axis) + ", " +
                   emulator::name_of(schedule));
      check(shape);
    }
  }
}

Numbers special_columns(const ColumnShape& shape) {
  Numbers x = some_numbers(shape.size(), 6);
  for (int a = 0; a < shape.axis; ++a) x[static_cast<size_t>(a * shape.inner)] = -kInfinity;
  x[1] = kNan;
  x[2] = kInfinity;
  return x;
}

template <class T>
void check_columns(const char* name) {
  for_columns(name, [&](const ColumnShape& s) {
    const DeviceArray<T> x(special_columns(s), 1);
    for (const bool logarithm : {false, true}) {
      const DeviceArray<T> y(Numbers(s.size(), 99), 1);
      emulator::launch(kernel_named(name), s.grid(),
                       SoftmaxColumnsArgs{x, {}, y, s.inner, s.axis, logarithm});
      const Numbers rows = transposed(x.numbers(), s.outer, s.axis, s.inner);
      EXPECT_EQ(difference(transposed(y.numbers(), s.outer, s.axis, s.inner),
                           expected_softmax(rows, s.axis, logarithm), 4 * tolerance<T>(),
                           4 * tolerance<T>()),
                "");
    }
  });
}

template <class T>
void check_columns_backward(const char* name) {
  for_columns(name, [&](const ColumnShape& s) {
    for (const bool logarithm : {false, true}) {
      const DeviceArray<T> y(some_numbers(s.size(), 1)), dy(some_numbers(s.size(), 1, 2));
      const DeviceArray<T> dx(Numbers(s.size(), 99));
      emulator::launch(kernel_named(name), s.grid(),
                       SoftmaxColumnsArgs{y, dy, dx, s.inner, s.axis, logarithm});
      const auto rows = [&](const DeviceArray<T>& a) {
        return transposed(a.numbers(), s.outer, s.axis, s.inner);
      };
      EXPECT_EQ(difference(rows(dx), expected_gradient(rows(y), rows(dy), s.axis, logarithm),
                           20 * tolerance<T>(), 20 * tolerance<T>()),
                "");
    }
  });
}

template <class T>
void check_logsumexp_columns(const char* name) {
  for_columns(name, [&](const ColumnShape& s) {
    const DeviceArray<T> x(special_columns(s));
    const size_t count = static_cast<size_t>(s.outer * s.inner);
    const DeviceArray<T> y(Numbers(count, 99));
    emulator::launch(kernel_named(name), s.grid(),
                     SoftmaxColumnsArgs{x, {}, y, s.inner, s.axis, 0});
    const Numbers rows = transposed(x.numbers(), s.outer, s.axis, s.inner);
    Numbers expected(count);
    for (size_t i = 0; i < count; ++i)
      expected[i] = expected_logsumexp(&rows[i * static_cast<size_t>(s.axis)], s.axis);
    EXPECT_EQ(difference(y.numbers(), expected, 4 * tolerance<T>(), 4 * tolerance<T>()), "");
  });
}

TEST(SoftmaxKernels, columns) {
#define X(name, dtype, T) check_columns<T>(#name);
  LINNET_SOFTMAX_COLUMNS_KERNELS(X)
#undef X
#define X(name, dtype, T) check_columns_backward<T>(#name);
  LINNET_SOFTMAX_COLUMNS_BACKWARD_KERNELS(X)
#undef X
#define X(name, dtype, T) check_logsumexp_columns<T>(#name);
  LINNET_LOGSUMEXP_COLUMNS_KERNELS(X)
#undef X
}

// Labels of all kinds: in range, from the end, out of range.
struct Labels {
  std::vector<int64_t> of_rows;
  explicit Labels(int columns) : of_rows{0, columns - 1, -1, -columns, columns, -columns - 1} {}
  int64_t place(int row, int columns) const {
    const int64_t label = of_rows[row] + (of_rows[row] < 0 ? columns : 0);
    return label >= 0 && label < columns ? label : -1;
  }
};

template <class T>
void check_cross_entropy(const Instance& instance) {
  using W = Wide<T>;
  for_lengths(instance, [&](int columns) {
    const DeviceArray<T> x(some_numbers(static_cast<size_t>(kRows * columns), 6), instance.skew());
    const Labels labels(columns);
    const DeviceArray<W> loss(Numbers(kRows, 99)), log_sum(Numbers(kRows, 99));
    const Global<const void> label_pointer{reinterpret_cast<uintptr_t>(labels.of_rows.data())};
    emulator::launch(kernel_named(instance.name), instance.grid(kRows),
                     CrossEntropyArgs{x, label_pointer, loss, log_sum, kRows, columns, {8, 1}});
    const Numbers values = x.numbers();
    Numbers expected_sum(kRows), expected_loss(kRows);
    for (int row = 0; row < kRows; ++row) {
      const double* at = &values[static_cast<size_t>(row * columns)];
      const double lse = expected_logsumexp(at, columns);
      expected_sum[row] = lse - *std::max_element(at, at + columns);
      const int64_t label = labels.place(row, columns);
      expected_loss[row] = label < 0 ? kNan : lse - at[label];
    }
    EXPECT_EQ(difference(log_sum.numbers(), expected_sum, 4 * tolerance<W>(), 4 * tolerance<W>()),
              "");
    EXPECT_EQ(difference(loss.numbers(), expected_loss, 4 * tolerance<W>(), 8 * tolerance<W>()),
              "");
  });
}

template <class T>
void check_cross_entropy_backward(const Instance& instance) {
  using W = Wide<T>;
  for_lengths(instance, [&](int columns) {
    const size_t size = static_cast<size_t>(kRows * columns);
    const DeviceArray<T> x(some_numbers(size, 6), instance.skew());
    const Numbers values = x.numbers();
    Numbers sums(kRows), log_sums(kRows);
    for (int row = 0; row < kRows; ++row) {
      const double* at = &values[static_cast<size_t>(row * columns)];
      sums[row] = expected_logsumexp(at, columns);
      log_sums[row] = sums[row] - *std::max_element(at, at + columns);
    }
    const DeviceArray<W> log_sum(log_sums), dloss(some_numbers(kRows));
    const Numbers gradient = dloss.numbers();
    const Labels labels(columns);
    const Global<const void> label_pointer{reinterpret_cast<uintptr_t>(labels.of_rows.data())};
    const CrossEntropyBackwardArgs args{x, label_pointer, log_sum, dloss,
                                        x, kRows,         columns, {8, 1}};
    emulator::launch(kernel_named(instance.name), instance.grid(kRows), args);  // in place
    Numbers expected(size);
    for (int row = 0; row < kRows; ++row) {
      for (int i = 0; i < columns; ++i) {
        const size_t at = static_cast<size_t>(row * columns + i);
        const double hot = i == labels.place(row, columns) ? 1 : 0;
        expected[at] = (std::exp(values[at] - sums[row]) - hot) * gradient[row];
      }
    }
    EXPECT_EQ(difference(x.numbers(), expected, 4 * tolerance<T>(), 4 * tolerance<T>()), "");
  });
}

template <class T>
void check_cross_entropy_both(const Instance& instance) {
  using W = Wide<T>;
  for_lengths(instance, [&](int columns) {
    const size_t size = static_cast<size_t>(kRows * columns);
    const DeviceArray<T> x(some_numbers(size, 6), instance.skew());
    const Numbers values = x.numbers();
    const DeviceArray<W> loss(Numbers(kRows, 99)), log_sum(Numbers(kRows, 99)),
        dloss(some_numbers(kRows));
    const Numbers gradient = dloss.numbers();
    const Labels labels(columns);
    const Global<const void> label_pointer{reinterpret_cast<uintptr_t>(labels.of_rows.data())};
    const CrossEntropyBothArgs args{x, label_pointer, dloss,   loss,  log_sum,
                                    x, kRows,         columns, {8, 1}};
    emulator::launch(kernel_named(instance.name), instance.grid(kRows), args);  // in place
    Numbers expected_loss(kRows), expected(size);
    for (int row = 0; row < kRows; ++row) {
      const double* at = &values[static_cast<size_t>(row * columns)];
      const double lse = expected_logsumexp(at, columns);
      const int64_t label = labels.place(row, columns);
      expected_loss[row] = label < 0 ? kNan : lse - at[label];
      for (int i = 0; i < columns; ++i)
        expected[static_cast<size_t>(row * columns + i)] =
            (std::exp(at[i] - lse) - (i == label ? 1 : 0)) * gradient[row];
    }
    EXPECT_EQ(difference(loss.numbers(), expected_loss, 4 * tolerance<W>(), 8 * tolerance<W>()),
              "");
    EXPECT_EQ(difference(x.numbers(), expected, 4 * tolerance<T>(), 4 * tolerance<T>()), "");
  });
}

TEST(CrossEntropyKernels, loss_and_gradient_in_place){
#define X(name, dtype, T, ...) LINNET_CHECK(check_cross_entropy_both, name, T, __VA_ARGS__)
    LINNET_CROSS_ENTROPY_BOTH_KERNELS(X)
#undef X
}

TEST(CrossEntropyKernels, rows){
#define X(name, dtype, T, ...) LINNET_CHECK(check_cross_entropy, name, T, __VA_ARGS__)
    LINNET_CROSS_ENTROPY_KERNELS(X)
#undef X
}

TEST(CrossEntropyKernels, gradients_in_place) {
#define X(name, dtype, T, ...) LINNET_CHECK(check_cross_entropy_backward, name, T, __VA_ARGS__)
  LINNET_CROSS_ENTROPY_BACKWARD_KERNELS(X)
#undef X
}

}  // namespace
}  // namespace linnet::cuda::softmax_test
