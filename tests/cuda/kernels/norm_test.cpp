// Layer, RMS and batch normalisation with their gradients, every instance.
#include <limits>

#include "cuda/kernels/rows.h"
#include "kernels/cuda/norm/columns_args.h"
#include "kernels/cuda/norm/norm_args.h"

namespace linnet::cuda::norm_test {
namespace {

constexpr int kRows = 5;
constexpr double kEpsilon = 1e-5;

struct Statistics {
  double mean = 0, rstd = 0;
};
Statistics statistics(const double* x, int columns, bool centred) {
  Statistics s;
  for (int i = 0; centred && i < columns; ++i) s.mean += x[i] / columns;
  double squares = 0;
  for (int i = 0; i < columns; ++i) squares += (x[i] - s.mean) * (x[i] - s.mean) / columns;
  s.rstd = 1 / std::sqrt(squares + kEpsilon);
  return s;
}

/// Numbers with a mean far from zero, and one row of zeros.
Numbers rows_with_means(int columns) {
  Numbers x = some_numbers(static_cast<size_t>(kRows * columns));
  for (size_t i = 0; i < x.size(); ++i) x[i] += static_cast<double>(i / columns) * 0.5;
  for (int i = 0; i < columns; ++i) x[static_cast<size_t>(columns + i)] = 0;
  return x;
}

template <class T, bool kCentred>
void check_norm(const Instance& instance) {
  using W = Wide<T>;
  for_lengths(instance, [&](int columns) {
    const size_t n = static_cast<size_t>(columns);
    const DeviceArray<T> x(rows_with_means(columns), instance.skew());
    const DeviceArray<T> y(Numbers(kRows * n, 99), instance.skew());
    const DeviceArray<W> scale(some_numbers(n, 2, 3));
    const DeviceArray<T> bias(some_numbers(n, 2, 4), instance.skew());
    const DeviceArray<W> mean(Numbers(kRows, 99)), rstd(Numbers(kRows, 99));
    emulator::launch(kernel_named(instance.name), instance.grid(kRows),
                     NormArgs{x, scale, bias, y, mean, rstd, kRows, columns, ParameterKind::kWide,
                              ParameterKind::kLikeX, kEpsilon});
    const Numbers values = x.numbers(), factors = scale.numbers(), offsets = bias.numbers();
    Numbers expected(values.size()), means(kRows), rstds(kRows);
    for (size_t row = 0; row < kRows; ++row) {
      const Statistics s = statistics(&values[row * n], columns, kCentred);
      means[row] = s.mean;
      rstds[row] = s.rstd;
      for (size_t i = 0; i < n; ++i)
        expected[row * n + i] = (values[row * n + i] - s.mean) * s.rstd * factors[i] + offsets[i];
    }
    const double near = 10 * tolerance<W>();
    if (kCentred) {
      EXPECT_EQ(difference(mean.numbers(), means, near, near), "");
    }
    EXPECT_EQ(difference(rstd.numbers(), rstds, 10 * near, 0), "");
    const double absolute = std::max(tolerance<T>(), 20 * near);
    EXPECT_EQ(difference(y.numbers(), expected, tolerance<T>(), absolute), "");
  });
}

TEST(NormKernels, layer_norm) {
#define X(name, dtype, T, ...) check_norm<T, true>(Instance{#name, __VA_ARGS__});
  LINNET_LAYER_NORM_KERNELS(X)
#undef X
}

TEST(NormKernels, rms_norm) {
#define X(name, dtype, T, ...) check_norm<T, false>(Instance{#name, __VA_ARGS__});
  LINNET_RMS_NORM_KERNELS(X)
#undef X
}

/// Operands of a gradient and what comes out.
template <class T>
struct NormGradient {
  using W = Wide<T>;
  size_t rows, columns;
  DeviceArray<T> x, dy, dx, scale;
  DeviceArray<W> mean, rstd;
  Numbers expected_dx, first, second;

  NormGradient(int row_count, int column_count, bool centred, size_t skew)
      : rows(static_cast<size_t>(row_count)),
        columns(static_cast<size_t>(column_count)),
        x(some_numbers(rows * columns), skew),
        dy(some_numbers(rows * columns, 1, 2), skew),
        dx(Numbers(rows * columns, 99), skew),
        scale(some_numbers(columns, 2, 3), skew),
        mean(row_statistics(centred, false)),
        rstd(row_statistics(centred, true)),
        expected_dx(rows * columns),
        first(columns),
        second(columns) {
    const Numbers values = x.numbers(), cts = dy.numbers(), factors = scale.numbers();
    const Numbers means = mean.numbers(), rstds = rstd.numbers();
    for (size_t row = 0; row < rows; ++row) {
      double offset = 0, slope = 0;
      const auto normal = [&](size_t i) {
        return (values[row * columns + i] - means[row]) * rstds[row];
      };
      for (size_t i = 0; i < columns; ++i) {
        const double ct = cts[row * columns + i], g = ct * factors[i];
        first[i] += ct * normal(i);
        second[i] += ct;
        offset += centred ? g / static_cast<double>(columns) : 0;
        slope += g * normal(i) / static_cast<double>(columns);
      }
      for (size_t i = 0; i < columns; ++i)
        expected_dx[row * columns + i] =
            rstds[row] * (cts[row * columns + i] * factors[i] - offset - normal(i) * slope);
    }
  }
  Numbers row_statistics(bool centred, bool rstds) const {
    const Numbers values = x.numbers();
    Numbers out(rows);
    for (size_t row = 0; row < rows; ++row) {
      const Statistics s = statistics(&values[row * columns], static_cast<int>(columns), centred);
      out[row] = rstds ? s.rstd : s.mean;
    }
    return out;
  }
  NormBackwardArgs args(Global<void> first_out, Global<void> second_out) const {
    return {x,
            mean,
            rstd,
            dy,
            scale,
            dx,
            first_out,
            second_out,
            static_cast<long long>(rows),
            static_cast<int>(columns),
            ParameterKind::kLikeX};
  }
  void expect_dx() const {
    EXPECT_EQ(difference(dx.numbers(), expected_dx, 4 * tolerance<T>(), 20 * tolerance<T>()), "");
  }
};

/// The sums that parts add up to.
template <class W>
void expect_finished(const DeviceArray<W>& first, const DeviceArray<W>& second, size_t columns,
                     int parts, const Numbers& expected_first, const Numbers& expected_second) {
  const DeviceArray<W> dscale(Numbers(columns, 99)), dbias(Numbers(columns, 99));
  const std::string name = sizeof(W) == 8 ? "norm_finish_sums_f64" : "norm_finish_sums_f32";
  emulator::launch(kernel_named(name), {static_cast<uint32_t>((columns + 31) / 32)},
                   FinishSumsArgs{first, second, dscale, dbias, static_cast<int>(columns), parts});
  const double near = 100 * tolerance<W>();
  EXPECT_EQ(difference(dscale.numbers(), expected_first, near, near), "");
  EXPECT_EQ(difference(dbias.numbers(), expected_second, near, near), "");
}

template <class T, bool kCentred>
void check_backward(const Instance& instance) {
  for_lengths(instance, [&](int columns) {
    const NormGradient<T> gradient(kRows, columns, kCentred, instance.skew());
    emulator::launch(kernel_named(instance.name), instance.grid(kRows), gradient.args({}, {}));
    gradient.expect_dx();
  });
}

template <class T, bool kCentred>
void check_gradients(const Instance& instance) {
  using W = Wide<T>;
  for_lengths(instance, [&](int columns) {
    constexpr int kBlocks = 2;
    const NormGradient<T> gradient(kRows, columns, kCentred, 0);
    const DeviceArray<W> first(Numbers(kBlocks * gradient.columns, 99)),
        second(Numbers(kBlocks * gradient.columns, 99));
    emulator::launch(kernel_named(instance.name), {kBlocks}, gradient.args(first, second));
    gradient.expect_dx();
    expect_finished(first, second, gradient.columns, kBlocks, gradient.first, gradient.second);
  });
}

TEST(NormKernels, gradients_of_rows) {
#define X(name, dtype, T, ...) check_backward<T, true>(Instance{#name, __VA_ARGS__});
  LINNET_LAYER_NORM_BACKWARD_KERNELS(X)
#undef X
#define X(name, dtype, T, ...) check_backward<T, false>(Instance{#name, __VA_ARGS__});
  LINNET_RMS_NORM_BACKWARD_KERNELS(X)
#undef X
}

TEST(NormKernels, gradients_and_sums_in_one_pass) {
#define X(name, dtype, T, ...) check_gradients<T, true>(Instance{#name, __VA_ARGS__});
  LINNET_LAYER_NORM_GRADIENTS_KERNELS(X)
#undef X
#define X(name, dtype, T, ...) check_gradients<T, false>(Instance{#name, __VA_ARGS__});
  LINNET_RMS_NORM_GRADIENTS_KERNELS(X)
#undef X
}

struct Matrix {
  int rows, columns, across, parts;
  ColumnLayout layout() const { return {rows, (rows + parts - 1) / parts, columns, across}; }
  emulator::Grid grid(int width) const {
    const int tile = across * width;
    return {static_cast<uint32_t>((columns + tile - 1) / tile), static_cast<uint32_t>(parts)};
  }
  size_t size() const { return static_cast<size_t>(rows * columns); }
};
constexpr Matrix kMatrices[] = {{1, 8, 1, 1}, {40, 16, 2, 3}, {70, 33, 32, 2}, {300, 64, 8, 4}};

/// Calls check(matrix, skew) in all orders.
template <class Check>
void for_matrices(const std::string& name, int width, const Check& check) {
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    emulator::set_schedule(schedule, 5);
    for (const Matrix& matrix : kMatrices) {
      if (matrix.columns % width != 0) continue;
      SCOPED_TRACE(name + ", " + std::to_string(matrix.rows) + " rows of " +
                   std::to_string(matrix.columns) + ", " + emulator::name_of(schedule));
      check(matrix, width == 1 ? 1 : 0);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

template <class T>
void check_norm_sums(const char* name, int width) {
  using W = Wide<T>;
  for_matrices(name, width, [&](const Matrix& m, size_t skew) {
    const NormGradient<T> gradient(m.rows, m.columns, true, skew);
    const size_t size = static_cast<size_t>(m.parts * m.columns);
    const DeviceArray<W> first(Numbers(size, 99)), second(Numbers(size, 99));
    emulator::launch(kernel_named(name), m.grid(width),
                     ColumnSumsArgs{gradient.x, gradient.dy, gradient.mean, gradient.rstd, first,
                                    second, m.layout()});
    expect_finished(first, second, gradient.columns, m.parts, gradient.first, gradient.second);
  });
}

TEST(NormKernels, sums_over_rows) {
#define X(name, dtype, T, width) check_norm_sums<T>(#name, width);
  LINNET_NORM_SUMS_KERNELS(X)
#undef X
}

/// Statistics of the channels in double.
struct Channels {
  Numbers mean, variance;
  Channels(const Numbers& x, const Matrix& m)
      : mean(static_cast<size_t>(m.columns)), variance(static_cast<size_t>(m.columns)) {
    const size_t n = mean.size();
    for (size_t i = 0; i < x.size(); ++i) mean[i % n] += x[i] / m.rows;
    for (size_t i = 0; i < x.size(); ++i)
      variance[i % n] += (x[i] - mean[i % n]) * (x[i] - mean[i % n]) / m.rows;
  }
};

Numbers far_from_zero(const Matrix& m) {
  Numbers x = some_numbers(m.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] += static_cast<double>(i % m.columns % 7) * 4;
  return x;
}

template <class T>
void check_moments(const char* name, int width) {
  using W = Wide<T>;
  for_matrices(name, width, [&](const Matrix& m, size_t skew) {
    const DeviceArray<T> x(far_from_zero(m), skew);
    const size_t n = static_cast<size_t>(m.columns), size = n * static_cast<size_t>(m.parts);
    const DeviceArray<W> means(Numbers(size, 99)), squares(Numbers(size, 99));
    emulator::launch(kernel_named(name), m.grid(width),
                     ColumnMomentsArgs{x, means, squares, m.layout()});
    const DeviceArray<W> mean(Numbers(n, 99)), variance(Numbers(n, 99));
    const std::string finish =
        sizeof(W) == 8 ? "batch_norm_finish_moments_f64" : "batch_norm_finish_moments_f32";
    emulator::launch(kernel_named(finish), {static_cast<uint32_t>((n + 31) / 32)},
                     FinishMomentsArgs{means, squares, mean, variance, m.rows,
                                       m.layout().rows_per_part, m.columns, m.parts});
    const Channels expected(x.numbers(), m);
    const double near = 20 * tolerance<W>();
    EXPECT_EQ(difference(mean.numbers(), expected.mean, near, near), "");
    EXPECT_EQ(difference(variance.numbers(), expected.variance, near, near), "");
  });
}

TEST(BatchNormKernels, moments_of_sums) {
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    emulator::set_schedule(schedule, 5);
    // The squares of the last but one are too few for the mean, by rounding.
    Numbers sums(300, 30), squares(300, 130);
    sums[298] = 40, squares[298] = 159.9999;
    squares[299] = std::numeric_limits<double>::quiet_NaN();
    const DeviceArray<float> mean(sums), variance(squares);
    emulator::launch(kernel_named("batch_norm_moments_of_sums"), {2},
                     MomentsOfSumsArgs{mean, variance, 10, 300});
    Numbers means(300, 3), variances(300, 4);
    means[298] = 4, variances[298] = 0;
    const Numbers found = variance.numbers();
    EXPECT_TRUE(std::isnan(found[299]));
    EXPECT_EQ(difference(mean.numbers(), means, 1e-6, 1e-6), "");
    EXPECT_EQ(difference(Numbers(found.begin(), found.end() - 1),
                         Numbers(variances.begin(), variances.end() - 1), 1e-6, 1e-6),
              "");
  }
}

/// @param follows with a residual and relu
template <class T>
void check_apply(const char* name, int width, bool follows) {
  using W = Wide<T>;
  for_matrices(name, width, [&](const Matrix& m, size_t skew) {
    const DeviceArray<T> x(far_from_zero(m), skew), y(Numbers(m.size(), 99), skew),
        residual(some_numbers(m.size(), 1, 5), skew);
    const Channels channels(x.numbers(), m);
    const size_t n = channels.mean.size();
    const DeviceArray<W> mean(channels.mean), variance(channels.variance),
        scale(some_numbers(n, 1, 3));
    emulator::launch(kernel_named(name), m.grid(width),
                     BatchNormArgs{x,
                                   mean,
                                   variance,
                                   scale,
                                   {},
                                   follows ? residual : Global<const void>{},
                                   y,
                                   m.layout(),
                                   ParameterKind::kWide,
                                   ParameterKind::kAbsent,
                                   kEpsilon,
                                   follows});
    const Numbers values = x.numbers(), means = mean.numbers(), factors = scale.numbers(),
                  variances = variance.numbers(), residuals = residual.numbers();
    Numbers expected(values.size());
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] =
          (values[i] - means[i % n]) / std::sqrt(variances[i % n] + kEpsilon) * factors[i % n];
    for (size_t i = 0; follows && i < expected.size(); ++i)
      expected[i] = std::max(0., expected[i] + residuals[i]);
    EXPECT_EQ(difference(y.numbers(), expected, 20 * tolerance<T>(), 20 * tolerance<T>()), "");
  });
}

TEST(BatchNormKernels, moments) {
#define X(name, dtype, T, width) check_moments<T>(#name, width);
  LINNET_BATCH_NORM_MOMENTS_KERNELS(X)
#undef X
}

TEST(BatchNormKernels, apply) {
#define X(name, dtype, T, width)         \
  {                                      \
    check_apply<T>(#name, width, false); \
    check_apply<T>(#name, width, true);  \
  }
  LINNET_BATCH_NORM_APPLY_KERNELS(X)
#undef X
}

/// The three kernels of a gradient.
/// @param relu whether the cotangent comes through it
template <class T>
void check_batch_norm_backward(const std::string& suffix, int width, bool relu) {
  using W = Wide<T>;
  const std::string wide = sizeof(W) == 8 ? "_f64" : "_f32";
  for_matrices("batch_norm_backward" + suffix, width, [&](const Matrix& m, size_t skew) {
    if (m.rows == 1) return;  // the gradient of one row is zero, up to rounding
    const DeviceArray<T> x(some_numbers(m.size()), skew), dy(some_numbers(m.size(), 1, 2), skew),
        dx(Numbers(m.size(), 99), skew);
    const Channels channels(x.numbers(), m);
    const size_t n = channels.mean.size(), size = n * static_cast<size_t>(m.parts);
    const DeviceArray<W> mean(channels.mean), variance(channels.variance), first(Numbers(size, 99)),
        second(Numbers(size, 99)), dscale(Numbers(n, 99)), dbias(Numbers(n, 99)),
        offset(Numbers(n, 99)), slope(Numbers(n, 99));
    const DeviceArray<T> scale(some_numbers(n, 1, 3), skew), bias(some_numbers(n, 1, 7), skew);
    const BatchNormForward norm{mean, variance, scale, bias};
    const BatchNormKinds kinds{ParameterKind::kLikeX, ParameterKind::kLikeX, relu, kEpsilon};
    emulator::launch(kernel_named("batch_norm_sums" + suffix), m.grid(width),
                     BatchNormSumsArgs{x, dy, norm, first, second, m.layout(), kinds});
    emulator::launch(kernel_named("batch_norm_finish_sums" + wide),
                     {static_cast<uint32_t>((n + 31) / 32)},
                     FinishBatchNormArgs{first, second, variance, dscale, dbias, offset, slope,
                                         m.rows, m.columns, m.parts, kEpsilon});
    emulator::launch(kernel_named("batch_norm_backward" + suffix), m.grid(width),
                     BatchNormBackwardArgs{x, dy, norm, offset, slope, dx, m.layout(), kinds});
    const Numbers values = x.numbers(), factors = scale.numbers(), biases = bias.numbers();
    Numbers cts = dy.numbers();
    Numbers expected(values.size()), sums(n), products(n), rstd(n);
    for (size_t c = 0; c < n; ++c) rstd[c] = 1 / std::sqrt(channels.variance[c] + kEpsilon);
    const auto normal = [&](size_t i) { return (values[i] - channels.mean[i % n]) * rstd[i % n]; };
    for (size_t i = 0; i < values.size(); ++i) {
      if (relu && normal(i) * factors[i % n] + biases[i % n] <= 0) cts[i] = 0;
      sums[i % n] += cts[i];
      products[i % n] += cts[i] * normal(i);
    }
    for (size_t i = 0; i < values.size(); ++i)
      expected[i] = factors[i % n] * rstd[i % n] *
                    (cts[i] - sums[i % n] / m.rows - normal(i) * products[i % n] / m.rows);
    const double near = 100 * tolerance<W>();
    EXPECT_EQ(difference(dscale.numbers(), products, near, near), "");
    EXPECT_EQ(difference(dbias.numbers(), sums, near, near), "");
    EXPECT_EQ(difference(dx.numbers(), expected, 20 * tolerance<T>(), 20 * tolerance<T>()), "");
  });
}

TEST(BatchNormKernels, gradients) {
#define X(name, dtype, T, width)                                                              \
  for (const bool relu : {false, true})                                                       \
    check_batch_norm_backward<T>(std::string(#name).substr(sizeof "batch_norm_backward" - 1), \
                                 width, relu);
  LINNET_BATCH_NORM_BACKWARD_KERNELS(X)
#undef X
}

}  // namespace
}  // namespace linnet::cuda::norm_test
