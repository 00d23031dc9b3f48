#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/norm/batch_norm.h"
#include "kernels/cpu/norm/cross_entropy.h"
#include "kernels/cpu/norm/layer_norm.h"
#include "kernels/cpu/norm/line_kernels.h"
#include "linnet/error.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::cpu::norm_test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// The functions with workspaces of their own.
void batch_norm_statistics(DType dtype, int64_t rows, int64_t channels, const void* x, void* mean,
                           void* var) {
  OwnWorkspace workspace(batch_norm_workspace(dtype, rows, channels));
  cpu::batch_norm_statistics(dtype, rows, channels, x, mean, var, workspace);
}
void batch_norm_apply(DType dtype, int64_t rows, int64_t channels, const void* x, const void* mean,
                      const void* var, const void* scale, const void* bias, double epsilon,
                      bool relu, void* y) {
  OwnWorkspace workspace(batch_norm_workspace(dtype, rows, channels));
  cpu::batch_norm_apply(dtype, rows, channels, x, mean, var, scale, bias, epsilon, relu, y,
                        workspace);
}
void batch_norm_backward(DType dtype, int64_t rows, int64_t channels, const void* x,
                         const void* mean, const void* rstd, const void* scale, const void* dy,
                         const void* relu_output, void* dx, void* dscale, void* dbias) {
  OwnWorkspace workspace(batch_norm_workspace(dtype, rows, channels));
  cpu::batch_norm_backward(dtype, rows, channels, x, mean, rstd, scale, dy, relu_output, dx, dscale,
                           dbias, workspace);
}
void layer_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x,
                         const void* scale, const void* mean, const void* rstd, const void* dy,
                         void* dx, void* dscale, void* dbias) {
  OwnWorkspace workspace(norm_backward_workspace(dtype, rows, length));
  cpu::layer_norm_backward(dtype, rows, length, x, scale, mean, rstd, dy, dx, dscale, dbias,
                           workspace);
}
void rms_norm_backward(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                       const void* rstd, const void* dy, void* dx, void* dscale) {
  OwnWorkspace workspace(norm_backward_workspace(dtype, rows, length));
  cpu::rms_norm_backward(dtype, rows, length, x, scale, rstd, dy, dx, dscale, workspace);
}

void along_lines(const LineKernel& kernel, DType dtype, int64_t outer, int64_t axis, int64_t inner,
                 std::initializer_list<const void*> in, void* out) {
  OwnWorkspace workspace(lines_workspace(kernel, dtype, outer, axis, inner));
  run_lines(kernel, dtype, outer, axis, inner, in.begin(), out, workspace);
}
void softmax(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* y,
             bool logarithm) {
  along_lines(logarithm ? log_softmax_lines : softmax_lines, dtype, outer, axis, inner, {x}, y);
}
void softmax_backward(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* y,
                      const void* dy, void* dx, bool logarithm) {
  along_lines(logarithm ? log_softmax_backward_lines : softmax_backward_lines, dtype, outer, axis,
              inner, {y, dy}, dx);
}
void logsumexp(DType dtype, int64_t outer, int64_t axis, int64_t inner, const void* x, void* out) {
  along_lines(logsumexp_lines, dtype, outer, axis, inner, {x}, out);
}
void softmax_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                           DType label_dtype, const void* labels, void* loss, void* log_sum) {
  OwnWorkspace workspace(cross_entropy_workspace(dtype, rows, classes));
  cpu::softmax_cross_entropy(dtype, rows, classes, logits, label_dtype, labels, loss, log_sum,
                             workspace);
}
void softmax_cross_entropy_backward(DType dtype, int64_t rows, int64_t classes, const void* logits,
                                    const void* log_sum, DType label_dtype, const void* labels,
                                    const void* dloss, void* dlogits) {
  OwnWorkspace workspace(cross_entropy_workspace(dtype, rows, classes));
  cpu::softmax_cross_entropy_backward(dtype, rows, classes, logits, log_sum, label_dtype, labels,
                                      dloss, dlogits, workspace);
}
void layer_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
                const void* bias, double epsilon, void* y, void* mean, void* rstd) {
  OwnWorkspace workspace(norm_workspace(dtype, rows, length));
  cpu::layer_norm(dtype, rows, length, x, scale, bias, epsilon, y, mean, rstd, workspace);
}
void rms_norm(DType dtype, int64_t rows, int64_t length, const void* x, const void* scale,
              double epsilon, void* y, void* rstd) {
  OwnWorkspace workspace(norm_workspace(dtype, rows, length));
  cpu::rms_norm(dtype, rows, length, x, scale, epsilon, y, rstd, workspace);
}

size_t at(int64_t i) { return static_cast<size_t>(i); }

// Softmax along the middle axis of [outer, axis, inner], in double.
std::vector<double> naive_softmax(const std::vector<double>& x, int64_t outer, int64_t axis,
                                  int64_t inner, bool logarithm) {
  std::vector<double> y(x.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      double sum = 0;
      for (int64_t a = 0; a < axis; ++a) sum += std::exp(x[at((o * axis + a) * inner + i)]);
      for (int64_t a = 0; a < axis; ++a) {
        const size_t j = at((o * axis + a) * inner + i);
        y[j] = logarithm ? x[j] - std::log(sum) : std::exp(x[j]) / sum;
      }
    }
  }
  return y;
}

// dx from y and dy by the definition of the Jacobian.
std::vector<double> naive_softmax_backward(const std::vector<double>& y,
                                           const std::vector<double>& dy, int64_t outer,
                                           int64_t axis, int64_t inner, bool logarithm) {
  std::vector<double> dx(y.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t a = 0; a < axis; ++a) {
        const size_t j = at((o * axis + a) * inner + i);
        for (int64_t b = 0; b < axis; ++b) {
          const size_t k = at((o * axis + b) * inner + i);
          const double same = a == b ? 1 : 0;
          dx[j] += logarithm ? dy[k] * (same - std::exp(y[j])) : dy[k] * y[k] * (same - y[j]);
        }
      }
    }
  }
  return dx;
}

struct SoftmaxShape {
  int64_t outer, axis, inner;
};
constexpr SoftmaxShape kShapes[] = {{3, 10, 1},  {2, 129, 1}, {1, 1, 1},  {2, 7, 3},
                                    {3, 5, 200}, {0, 4, 1},   {4, 33, 64}};

template <class T>
void check_softmax(double tolerance) {
  for (const SoftmaxShape& s : kShapes) {
    for (bool logarithm : {false, true}) {
      const int64_t count = s.outer * s.axis * s.inner;
      const std::vector<T> x = random_values<T>(count, 1), dy = random_values<T>(count, 2);
      std::vector<T> y(at(count)), dx(at(count)), lse(at(s.outer * s.inner));
      softmax(dtype_of<T>(), s.outer, s.axis, s.inner, x.data(), y.data(), logarithm);
      const auto expected =
          naive_softmax(converted<double>(x), s.outer, s.axis, s.inner, logarithm);
      EXPECT_LT(largest_error(y, expected, 1e-3), tolerance)
          << s.axis << " " << s.inner << " " << logarithm;
      softmax_backward(dtype_of<T>(), s.outer, s.axis, s.inner, y.data(), dy.data(), dx.data(),
                       logarithm);
      const auto gradient = naive_softmax_backward(converted<double>(y), converted<double>(dy),
                                                   s.outer, s.axis, s.inner, logarithm);
      EXPECT_LT(largest_error(dx, gradient, 0.1), tolerance)
          << s.axis << " " << s.inner << " " << logarithm;
      logsumexp(dtype_of<T>(), s.outer, s.axis, s.inner, x.data(), lse.data());
      const auto logs = naive_softmax(converted<double>(x), s.outer, s.axis, s.inner, true);
      for (int64_t o = 0; o < s.outer; ++o) {
        for (int64_t i = 0; i < s.inner; ++i) {
          const size_t j = at(o * s.axis * s.inner + i);
          EXPECT_NEAR(static_cast<double>(widen(lse[at(o * s.inner + i)])),
                      static_cast<double>(widen(x[j])) - logs[j], tolerance * 3);
        }
      }
    }
  }
}

TEST(Softmax, Float) { check_softmax<float>(2e-6); }
TEST(Softmax, Double) { check_softmax<double>(1e-12); }
TEST(Softmax, Half) { check_softmax<float16>(4e-3); }
TEST(Softmax, Brain) { check_softmax<bfloat16>(2e-2); }

TEST(Softmax, ExtremeValues) {
  const float rows[] = {1000, 0, -1000, 5, -kInf, 5, 1, kNan, 2};
  float y[9];
  softmax(DType::kF32, 3, 3, 1, rows, y, false);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[3], 0.5f);
  EXPECT_EQ(y[4], 0);
  EXPECT_TRUE(std::isnan(y[6]) && std::isnan(y[8]));
  float lse[3];
  logsumexp(DType::kF32, 3, 3, 1, rows, lse);
  EXPECT_EQ(lse[0], 1000);
  EXPECT_TRUE(std::isnan(lse[2]));
  const float infinite[] = {-kInf, -kInf, kInf, 1};
  logsumexp(DType::kF32, 2, 2, 1, infinite, lse);
  EXPECT_EQ(lse[0], -kInf);
  EXPECT_EQ(lse[1], kInf);
  logsumexp(DType::kF32, 1, 2, 2, infinite, lse);
  EXPECT_EQ(lse[0], kInf);
  EXPECT_EQ(lse[1], 1);
  EXPECT_THROW(softmax(DType::kI32, 1, 1, 1, rows, y, false), DTypeError);
}

// The maximum is taken in several chains: each of them, and the ends, must let NaN and the greatest
// element through.
TEST(Softmax, EveryPlaceOfARowCounts) {
  for (const int64_t count : {int64_t{5}, int64_t{16}, int64_t{70}, int64_t{203}}) {
    for (int64_t at = 0; at < count; ++at) {
      const size_t place = static_cast<size_t>(at),
                   other = (place + 1) % static_cast<size_t>(count);
      std::vector<float> x(static_cast<size_t>(count), -kInf), y(x.size());
      float lse;
      x[place] = 200;
      softmax(DType::kF32, 1, count, 1, x.data(), y.data(), false);
      EXPECT_EQ(y[place], 1) << count << " " << at;
      EXPECT_EQ(y[other], 0);
      logsumexp(DType::kF32, 1, count, 1, x.data(), &lse);
      EXPECT_EQ(lse, 200);
      x[other] = kNan;
      for (const bool logarithm : {false, true}) {
        softmax(DType::kF32, 1, count, 1, x.data(), y.data(), logarithm);
        for (const float value : y) ASSERT_TRUE(std::isnan(value)) << count << " " << at;
      }
      x[place] = kInf;
      logsumexp(DType::kF32, 1, count, 1, x.data(), &lse);
      EXPECT_TRUE(std::isnan(lse));
    }
  }
}

TEST(Softmax, ExponentialIsAccurateOverItsRange) {
  // A row (x, 0) with x far below zero gives exp(x) / (1 + exp(x)).
  for (float x = -100; x < 0; x += 0.37f) {
    const float row[] = {x, 0};
    float y[2];
    softmax(DType::kF32, 1, 2, 1, row, y, false);
    const double e = std::exp(static_cast<double>(x));
    EXPECT_NEAR(y[0], e / (1 + e), 2e-7 * e + 2e-45) << x;
  }
}

TEST(CrossEntropy, LossAndGradient) {
  const int64_t rows = 9, classes = 37;
  const std::vector<float> logits = random_floats(rows * classes, 5),
                           dloss = random_floats(rows, 6);
  std::vector<int64_t> labels{0, 36, 5, 7, 7, 1, 2, 3, 4};
  std::vector<float> loss(at(rows)), log_sum(at(rows)), dlogits(at(rows * classes));
  softmax_cross_entropy(DType::kF32, rows, classes, logits.data(), DType::kI64, labels.data(),
                        loss.data(), log_sum.data());
  softmax_cross_entropy_backward(DType::kF32, rows, classes, logits.data(), log_sum.data(),
                                 DType::kI64, labels.data(), dloss.data(), dlogits.data());
  const auto logs = naive_softmax(converted<double>(logits), rows, classes, 1, true);
  for (int64_t row = 0; row < rows; ++row) {
    EXPECT_NEAR(loss[at(row)], -logs[at(row * classes + labels[at(row)])], 2e-6);
    for (int64_t c = 0; c < classes; ++c) {
      const double one = c == labels[at(row)] ? 1 : 0;
      EXPECT_NEAR(dlogits[at(row * classes + c)],
                  dloss[at(row)] * (std::exp(logs[at(row * classes + c)]) - one), 1e-6);
    }
  }
}

TEST(CrossEntropy, NegativeLabelsCountFromTheEndAndOthersGiveNan) {
  const float logits[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9}, dloss[] = {1, 1, 1, 1};
  const int32_t labels[] = {-1, 3, 2, -4};
  float loss[4], log_sum[4], dlogits[12];
  softmax_cross_entropy(DType::kF32, 4, 3, logits, DType::kI32, labels, loss, log_sum);
  EXPECT_FLOAT_EQ(loss[0], log_sum[0]);  // the largest of the row
  EXPECT_FLOAT_EQ(loss[2], log_sum[2]);
  EXPECT_TRUE(std::isnan(loss[1]) && std::isnan(loss[3]));
  softmax_cross_entropy_backward(DType::kF32, 4, 3, logits, log_sum, DType::kI32, labels, dloss,
                                 dlogits);
  for (size_t row = 0; row < 4; ++row) {
    const float sum = dlogits[3 * row] + dlogits[3 * row + 1] + dlogits[3 * row + 2];
    EXPECT_NEAR(sum, row % 2 == 0 ? 0 : 1, 1e-6);  // no label is taken off where there is none
  }
  EXPECT_THROW(softmax_cross_entropy(DType::kF32, 4, 3, logits, DType::kF32, labels, loss, log_sum),
               DTypeError);
}

// Forward value sum(y w) as a function of one perturbed input, for finite differences.
template <class Forward>
double difference(std::vector<double>& values, size_t i, Forward&& forward) {
  const double step = 1e-5, old = values[i];
  values[i] = old + step;
  const double high = forward();
  values[i] = old - step;
  const double low = forward();
  values[i] = old;
  return (high - low) / (2 * step);
}

class LayerNormGradient : public testing::TestWithParam<bool> {};

TEST_P(LayerNormGradient, MatchesFiniteDifferences) {
  const bool centered = GetParam();
  const int64_t rows = 5, length = 19;
  std::vector<double> x = random_values<double>(rows * length, 7),
                      scale = random_values<double>(length, 8);
  std::vector<double> bias = random_values<double>(length, 9);
  const std::vector<double> dy = random_values<double>(rows * length, 10);
  std::vector<double> y(x.size()), mean(at(rows)), rstd(at(rows)), dx(x.size()), dscale(at(length)),
      dbias(at(length));
  const auto forward = [&] {
    if (centered)
      layer_norm(DType::kF64, rows, length, x.data(), scale.data(), bias.data(), 1e-3, y.data(),
                 mean.data(), rstd.data());
    else
      rms_norm(DType::kF64, rows, length, x.data(), scale.data(), 1e-3, y.data(), rstd.data());
    double total = 0;
    for (size_t i = 0; i < y.size(); ++i) total += y[i] * dy[i];
    return total;
  };
  forward();
  if (centered) {
    layer_norm_backward(DType::kF64, rows, length, x.data(), scale.data(), mean.data(), rstd.data(),
                        dy.data(), dx.data(), dscale.data(), dbias.data());
  } else {
    rms_norm_backward(DType::kF64, rows, length, x.data(), scale.data(), rstd.data(), dy.data(),
                      dx.data(), dscale.data());
  }
  for (size_t i = 0; i < x.size(); i += 3) EXPECT_NEAR(dx[i], difference(x, i, forward), 1e-7);
  for (size_t i = 0; i < scale.size(); ++i)
    EXPECT_NEAR(dscale[i], difference(scale, i, forward), 1e-7);
  for (size_t i = 0; centered && i < bias.size(); ++i)
    EXPECT_NEAR(dbias[i], difference(bias, i, forward), 1e-7);
}
INSTANTIATE_TEST_SUITE_P(Centered, LayerNormGradient, testing::Bool());

template <class T>
void check_layer_norm(int64_t rows, int64_t length, double tolerance) {
  using W = Wide<T>;
  const std::vector<T> x = random_values<T>(rows * length, 11),
                       dy = random_values<T>(rows * length, 12);
  const std::vector<W> scale = random_values<W>(length, 13), bias = random_values<W>(length, 14);
  const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy);
  const auto wide_scale = converted<double>(scale), wide_bias = converted<double>(bias);
  std::vector<T> y(x.size()), dx(x.size());
  std::vector<W> mean(at(rows)), rstd(at(rows)), dscale(at(length)), dbias(at(length));
  std::vector<double> y2(x.size()), dx2(x.size()), mean2(at(rows)), rstd2(at(rows)),
      dscale2(at(length)), dbias2(at(length));
  layer_norm(dtype_of<T>(), rows, length, x.data(), scale.data(), bias.data(), 1e-5, y.data(),
             mean.data(), rstd.data());
  layer_norm(DType::kF64, rows, length, wide_x.data(), wide_scale.data(), wide_bias.data(), 1e-5,
             y2.data(), mean2.data(), rstd2.data());
  EXPECT_LT(largest_error(y, y2), tolerance);
  EXPECT_LT(largest_error(rstd, rstd2), 1e-5);
  layer_norm_backward(dtype_of<T>(), rows, length, x.data(), scale.data(), mean.data(), rstd.data(),
                      dy.data(), dx.data(), dscale.data(), dbias.data());
  layer_norm_backward(DType::kF64, rows, length, wide_x.data(), wide_scale.data(), mean2.data(),
                      rstd2.data(), wide_dy.data(), dx2.data(), dscale2.data(), dbias2.data());
  EXPECT_LT(largest_error(dx, dx2), tolerance);
  EXPECT_LT(largest_error(dscale, dscale2), 2e-4);
  EXPECT_LT(largest_error(dbias, dbias2), 2e-5);
  layer_norm_backward(dtype_of<T>(), rows, length, x.data(), nullptr, mean.data(), rstd.data(),
                      dy.data(), dx.data(), nullptr, nullptr);
}

TEST(LayerNorm, OtherTypesAgreeWithDouble) {
  check_layer_norm<float>(1, 1, 1e-5);
  check_layer_norm<float>(7, 768, 1e-5);
  check_layer_norm<float>(333, 65, 1e-5);
  check_layer_norm<float16>(5, 40, 2e-3);
  check_layer_norm<bfloat16>(5, 40, 2e-2);
}

TEST(LayerNorm, LargeMeanKeepsTheVariance) {
  std::vector<float> x;
  for (int i = 0; i < 256; ++i) x.push_back(10000.0f + static_cast<float>(i % 2));
  std::vector<float> y(256), mean(1), rstd(1);
  layer_norm(DType::kF32, 1, 256, x.data(), nullptr, nullptr, 0, y.data(), mean.data(),
             rstd.data());
  EXPECT_NEAR(rstd[0], 2, 1e-3);
  EXPECT_NEAR(y[1], 1, 1e-3);
}

TEST(LayerNorm, GradientsDoNotDependOnThreads) {
  const int64_t rows = 1000, length = 33;
  const std::vector<float> x = random_floats(rows * length, 15),
                           dy = random_floats(rows * length, 16), scale = random_floats(length, 17);
  std::vector<float> y(x.size()), mean(at(rows)), rstd(at(rows));
  layer_norm(DType::kF32, rows, length, x.data(), scale.data(), nullptr, 1e-5, y.data(),
             mean.data(), rstd.data());
  EXPECT_TRUE(same_for_all_thread_counts([&] {
    std::vector<float> dx(x.size()), both(at(2 * length));
    layer_norm_backward(DType::kF32, rows, length, x.data(), scale.data(), mean.data(), rstd.data(),
                        dy.data(), dx.data(), both.data(), both.data() + length);
    both.insert(both.end(), dx.begin(), dx.end());
    return both;
  }));
}

struct BatchNormCase {
  int64_t rows, channels;
};

template <class T>
void check_batch_norm(BatchNormCase s, double tolerance) {
  using W = Wide<T>;
  const std::vector<T> x = random_values<T>(s.rows * s.channels, 18);
  const std::vector<W> scale = random_values<W>(s.channels, 19),
                       bias = random_values<W>(s.channels, 20);
  std::vector<W> mean(at(s.channels)), var(at(s.channels));
  batch_norm_statistics(dtype_of<T>(), s.rows, s.channels, x.data(), mean.data(), var.data());
  std::vector<T> y(x.size()), rectified(x.size());
  batch_norm_apply(dtype_of<T>(), s.rows, s.channels, x.data(), mean.data(), var.data(),
                   scale.data(), bias.data(), 1e-3, false, y.data());
  batch_norm_apply(dtype_of<T>(), s.rows, s.channels, x.data(), mean.data(), var.data(),
                   scale.data(), bias.data(), 1e-3, true, rectified.data());
  for (int64_t c = 0; c < s.channels; ++c) {
    double first = 0, second = 0;
    for (int64_t r = 0; r < s.rows; ++r)
      first += static_cast<double>(widen(x[at(r * s.channels + c)])) / static_cast<double>(s.rows);
    for (int64_t r = 0; r < s.rows; ++r) {
      const double deviation = static_cast<double>(widen(x[at(r * s.channels + c)])) - first;
      second += deviation * deviation / static_cast<double>(s.rows);
    }
    EXPECT_NEAR(mean[at(c)], first, 1e-6);
    EXPECT_NEAR(var[at(c)], second, 2e-6);
    for (int64_t r = 0; r < s.rows; ++r) {
      const size_t i = at(r * s.channels + c);
      const double expected =
          (static_cast<double>(widen(x[i])) - first) / std::sqrt(second + 1e-3) * scale[at(c)] +
          bias[at(c)];
      EXPECT_NEAR(widen(y[i]), expected, tolerance);
      EXPECT_NEAR(widen(rectified[i]), std::max(0.0, expected), tolerance);
    }
  }
}

TEST(BatchNorm, StatisticsAndApplication) {
  check_batch_norm<float>({200, 64}, 1e-5);
  check_batch_norm<float>({1000, 3}, 1e-5);
  check_batch_norm<float>({1, 5}, 1e-4);
  check_batch_norm<double>({77, 10}, 1e-10);
  check_batch_norm<float16>({50, 17}, 1e-2);
  check_batch_norm<bfloat16>({50, 17}, 6e-2);
}

TEST(BatchNorm, LargeMeanAndEmptyBatch) {
  std::vector<float> x;
  for (int i = 0; i < 4096; ++i) x.push_back(30000.0f + static_cast<float>(i % 2));
  float mean, var;
  batch_norm_statistics(DType::kF32, 4096, 1, x.data(), &mean, &var);
  EXPECT_NEAR(mean, 30000.5f, 1e-2);
  EXPECT_NEAR(var, 0.25f, 1e-5);
  batch_norm_statistics(DType::kF32, 0, 1, nullptr, &mean, &var);
  EXPECT_TRUE(std::isnan(mean) && std::isnan(var));
  const float constant[] = {3, 3, 3};
  batch_norm_statistics(DType::kF32, 3, 1, constant, &mean, &var);
  EXPECT_EQ(var, 0);
}

class BatchNormGradient : public testing::TestWithParam<bool> {};

TEST_P(BatchNormGradient, MatchesFiniteDifferences) {
  const bool relu = GetParam();
  const int64_t rows = 23, channels = 4;
  const double epsilon = 1e-3;
  std::vector<double> x = random_values<double>(rows * channels, 21),
                      scale = random_values<double>(channels, 22);
  std::vector<double> bias = random_values<double>(channels, 23);
  const std::vector<double> dy = random_values<double>(rows * channels, 24);
  std::vector<double> y(x.size()), mean(at(channels)), var(at(channels)), rstd, dx(x.size()),
      dscale(at(channels)), dbias(at(channels));
  const auto forward = [&] {
    batch_norm_statistics(DType::kF64, rows, channels, x.data(), mean.data(), var.data());
    batch_norm_apply(DType::kF64, rows, channels, x.data(), mean.data(), var.data(), scale.data(),
                     bias.data(), epsilon, relu, y.data());
    double total = 0;
    for (size_t i = 0; i < y.size(); ++i) total += y[i] * dy[i];
    return total;
  };
  forward();
  for (double v : var) rstd.push_back(1 / std::sqrt(v + epsilon));
  const std::vector<double> output = y, means = mean;
  batch_norm_backward(DType::kF64, rows, channels, x.data(), means.data(), rstd.data(),
                      scale.data(), dy.data(), relu ? output.data() : nullptr, dx.data(),
                      dscale.data(), dbias.data());
  for (size_t i = 0; i < x.size(); i += 5) EXPECT_NEAR(dx[i], difference(x, i, forward), 1e-6);
  for (size_t i = 0; i < scale.size(); ++i) {
    EXPECT_NEAR(dscale[i], difference(scale, i, forward), 1e-6);
    EXPECT_NEAR(dbias[i], difference(bias, i, forward), 1e-6);
  }
}
INSTANTIATE_TEST_SUITE_P(Relu, BatchNormGradient, testing::Bool());

TEST(BatchNorm, OtherTypesAgreeWithDoubleAndThreadsDoNotMatter) {
  const int64_t rows = 700, channels = 37;
  const std::vector<float> x = random_floats(rows * channels, 25),
                           dy = random_floats(rows * channels, 26),
                           scale = random_floats(channels, 27);
  const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy),
             wide_scale = converted<double>(scale);
  std::vector<float> mean(at(channels)), var(at(channels)), rstd;
  batch_norm_statistics(DType::kF32, rows, channels, x.data(), mean.data(), var.data());
  for (float v : var) rstd.push_back(1 / std::sqrt(v + 1e-5f));
  const auto gradients = [&] {
    std::vector<float> all(at(rows * channels + 2 * channels));
    batch_norm_backward(DType::kF32, rows, channels, x.data(), mean.data(), rstd.data(),
                        scale.data(), dy.data(), nullptr, all.data(), all.data() + rows * channels,
                        all.data() + rows * channels + channels);
    return all;
  };
  EXPECT_TRUE(same_for_all_thread_counts(gradients));
  std::vector<double> all(at(rows * channels + 2 * channels));
  batch_norm_backward(DType::kF64, rows, channels, wide_x.data(), converted<double>(mean).data(),
                      converted<double>(rstd).data(), wide_scale.data(), wide_dy.data(), nullptr,
                      all.data(), all.data() + rows * channels,
                      all.data() + rows * channels + channels);
  EXPECT_LT(largest_error(gradients(), all), 2e-5);
}

}  // namespace
}  // namespace linnet::cpu::norm_test
