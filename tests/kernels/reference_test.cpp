#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "kernels/cpu/reference/convolution.h"
#include "kernels/cpu/reference/matmul.h"
#include "kernels/cpu/reference/window.h"
#include "linnet/error.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::cpu::reference_test {
namespace {

// The functions with workspaces of their own.
void reference_matmul(const MatmulProblem& problem) {
  OwnWorkspace workspace(reference_matmul_workspace(problem));
  cpu::reference_matmul(problem, workspace);
}
void reference_convolution(const ConvolutionProblem& problem) {
  OwnWorkspace workspace(reference_convolution_workspace(problem));
  cpu::reference_convolution(problem, workspace);
}
void reduce_window(ReduceKind kind, DType dtype, const void* data, const Strides& strides,
                   const WindowGeometry& geometry, void* out) {
  OwnWorkspace workspace(reduce_window_workspace(dtype, strides, geometry));
  cpu::reduce_window(kind, dtype, data, strides, geometry, out, workspace);
}
void select_and_scatter_add(ReduceKind kind, DType dtype, const void* data, const Strides& strides,
                            const WindowGeometry& geometry, const void* dy, void* dx) {
  OwnWorkspace workspace(select_workspace(dtype, strides, geometry));
  cpu::select_and_scatter_add(kind, dtype, data, strides, geometry, dy, dx, workspace);
}

size_t at(int64_t i) { return static_cast<size_t>(i); }

template <class T, class Out>
void check_matmul(int64_t batch, int64_t m, int64_t n, int64_t k, bool transposed,
                  double tolerance) {
  const std::vector<T> a = random_values<T>(batch * m * k, 1),
                       b = random_values<T>(batch * k * n, 2);
  const std::array<int64_t, 3> sa =
      transposed ? std::array<int64_t, 3>{m * k, 1, m} : std::array<int64_t, 3>{m * k, k, 1};
  const std::array<int64_t, 3> sb =
      transposed ? std::array<int64_t, 3>{k * n, 1, k} : std::array<int64_t, 3>{k * n, n, 1};
  std::vector<Out> out(at(batch * m * n));
  reference_matmul(
      {dtype_of<T>(), dtype_of<Out>(), batch, m, n, k, a.data(), sa, b.data(), sb, out.data()});
  for (int64_t i = 0; i < batch * m * n; ++i) {
    const int64_t x = i / (m * n), row = i / n % m, column = i % n;
    double sum = 0;
    for (int64_t d = 0; d < k; ++d) {
      sum += static_cast<double>(widen(a[at(x * sa[0] + row * sa[1] + d * sa[2])])) *
             static_cast<double>(widen(b[at(x * sb[0] + d * sb[1] + column * sb[2])]));
    }
    if constexpr (std::is_integral_v<Out>)
      sum = static_cast<double>(static_cast<Out>(static_cast<int64_t>(sum)));
    ASSERT_NEAR(static_cast<double>(widen(out[at(i)])), sum, tolerance * (1 + std::abs(sum))) << i;
  }
}

TEST(ReferenceMatmul, TypesShapesAndStrides) {
  for (bool transposed : {false, true}) {
    check_matmul<float, float>(2, 37, 300, 70, transposed, 1e-5);
    check_matmul<double, double>(1, 33, 5, 129, transposed, 1e-13);
    check_matmul<bfloat16, float>(1, 3, 4, 50, transposed, 1e-5);
    check_matmul<float16, float16>(2, 3, 4, 5, transposed, 1e-3);
    check_matmul<int8_t, int32_t>(1, 9, 8, 70, transposed, 0);
    check_matmul<int8_t, int8_t>(1, 9, 8, 70, transposed, 0);
    check_matmul<uint32_t, uint32_t>(1, 2, 2, 3, transposed, 0);
    check_matmul<int64_t, double>(1, 2, 3, 4, transposed, 0);
  }
}

TEST(ReferenceMatmul, EmptyBoolAndThreads) {
  float out[] = {7, 7};
  reference_matmul(
      {DType::kF32, DType::kF32, 1, 1, 2, 0, nullptr, {0, 0, 1}, nullptr, {0, 2, 1}, out});
  EXPECT_EQ(out[0], 0);
  reference_matmul(
      {DType::kF32, DType::kF32, 1, 0, 2, 3, nullptr, {0, 3, 1}, nullptr, {0, 2, 1}, nullptr});
  const bool a[] = {true, false, false, false}, b[] = {true, false, true, true};
  bool c[4];
  reference_matmul({DType::kBool, DType::kBool, 1, 2, 2, 2, a, {0, 2, 1}, b, {0, 2, 1}, c});
  EXPECT_TRUE(c[0]);
  EXPECT_FALSE(c[1] || c[2] || c[3]);
  const std::vector<float> x = random_floats(100 * 100, 3);
  EXPECT_TRUE(same_for_all_thread_counts([&] {
    std::vector<float> y(10000);
    reference_matmul({DType::kF32,
                      DType::kF32,
                      1,
                      100,
                      100,
                      100,
                      x.data(),
                      {0, 100, 1},
                      x.data(),
                      {0, 1, 100},
                      y.data()});
    return y;
  }));
}

// The definition: loops over everything, channels first.
std::vector<double> naive_convolution(const ConvolutionGeometry& g,
                                      const std::vector<double>& input,
                                      const std::vector<double>& kernel) {
  const int64_t out_batch = g.batch / g.batch_groups, group_in = g.in_features / g.feature_groups;
  const int64_t sizes[] = {g.out_size(0), g.out_size(1), g.out_size(2)};
  const int64_t group_out = g.out_features / (g.feature_groups * g.batch_groups);
  std::vector<double> out;
  for (int64_t n = 0; n < out_batch; ++n)
    for (int64_t o = 0; o < g.out_features; ++o)
      for (int64_t p0 = 0; p0 < sizes[0]; ++p0)
        for (int64_t p1 = 0; p1 < sizes[1]; ++p1)
          for (int64_t p2 = 0; p2 < sizes[2]; ++p2) {
            double sum = 0;
            for (int64_t c = 0; c < group_in; ++c)
              for (int64_t t0 = 0; t0 < g.kernel_size[0]; ++t0)
                for (int64_t t1 = 0; t1 < g.kernel_size[1]; ++t1)
                  for (int64_t t2 = 0; t2 < g.kernel_size[2]; ++t2) {
                    const int64_t p[] = {p0, p1, p2}, t[] = {t0, t1, t2};
                    int64_t offset = 0;
                    bool inside = true;
                    for (size_t d = 0; d < 3; ++d) {
                      const int64_t x =
                          p[d] * g.stride[d] + t[d] * g.kernel_dilation[d] - g.pad_low[d];
                      inside = inside && x >= 0 && x % g.input_dilation[d] == 0 &&
                               x / g.input_dilation[d] < g.in_size[d];
                      offset = offset * g.in_size[d] + x / g.input_dilation[d];
                    }
                    if (!inside) continue;
                    const int64_t group = o / group_out;
                    const int64_t sample = g.batch_groups > 1 ? group * out_batch + n : n;
                    const int64_t feature = g.batch_groups > 1 ? c : group * group_in + c;
                    const int64_t in_spatial = g.in_size[0] * g.in_size[1] * g.in_size[2];
                    const int64_t taps = g.kernel_size[0] * g.kernel_size[1] * g.kernel_size[2];
                    sum += input[at((sample * g.in_features + feature) * in_spatial + offset)] *
                           kernel[at((o * group_in + c) * taps +
                                     (t0 * g.kernel_size[1] + t1) * g.kernel_size[2] + t2)];
                  }
            out.push_back(sum);
          }
  return out;
}

// Dense strides of [outer, features, spatial...] or, channels last, [outer, spatial..., features].
ConvolutionStrides layout(int64_t features, const Spatial& size, bool channels_last) {
  const int64_t spatial = size[0] * size[1] * size[2], step = channels_last ? features : 1;
  return {features * spatial,
          channels_last ? 1 : spatial,
          {size[1] * size[2] * step, size[2] * step, step}};
}

// Rearranges channels-first data.
template <class T>
std::vector<T> arranged(const std::vector<T>& data, int64_t features, const Spatial& size,
                        bool channels_last) {
  if (!channels_last) return data;
  std::vector<T> out(data.size());
  const int64_t spatial = size[0] * size[1] * size[2];
  for (int64_t i = 0; i < static_cast<int64_t>(data.size()); ++i) {
    const int64_t n = i / (features * spatial), c = i / spatial % features, p = i % spatial;
    out[at((n * spatial + p) * features + c)] = data[at(i)];
  }
  return out;
}

template <class T>
void check_convolution(const ConvolutionGeometry& g, double tolerance) {
  const int64_t in_spatial = g.in_size[0] * g.in_size[1] * g.in_size[2],
                group_in = g.in_features / g.feature_groups;
  const int64_t taps = g.kernel_size[0] * g.kernel_size[1] * g.kernel_size[2];
  const std::vector<T> input = random_values<T>(g.batch * g.in_features * in_spatial, 1);
  const std::vector<T> kernel = random_values<T>(g.out_features * group_in * taps, 2);
  const std::vector<double> expected =
      naive_convolution(g, converted<double>(input), converted<double>(kernel));
  const Spatial out_size{g.out_size(0), g.out_size(1), g.out_size(2)};
  for (bool last : {false, true}) {
    std::vector<T> out(expected.size());
    const std::vector<T> x = arranged(input, g.in_features, g.in_size, last),
                         w = arranged(kernel, group_in, g.kernel_size, last);
    reference_convolution({dtype_of<T>(), dtype_of<T>(), g, x.data(),
                           layout(g.in_features, g.in_size, last), w.data(),
                           layout(group_in, g.kernel_size, last), out.data(),
                           layout(g.out_features, out_size, last)});
    EXPECT_LT(largest_error(out, arranged(expected, g.out_features, out_size, last)), tolerance);
  }
}

TEST(ReferenceConvolution, GeometriesAgreeWithTheDefinition) {
  ConvolutionGeometry plane{.batch = 2,
                            .in_features = 4,
                            .out_features = 6,
                            .in_size = {7, 9, 1},
                            .kernel_size = {3, 2, 1},
                            .stride = {2, 1, 1},
                            .pad_low = {1, 0, 0},
                            .pad_high = {1, 3, 0}};
  check_convolution<float>(plane, 1e-5);
  check_convolution<double>(plane, 1e-12);
  check_convolution<int32_t>(plane, 1e-12);
  plane.feature_groups = 2;
  plane.kernel_dilation = {2, 3, 1};
  check_convolution<float>(plane, 1e-5);
  plane.feature_groups = 1;
  plane.input_dilation = {2, 3, 1};
  plane.pad_low = {-2, 4, 0};
  check_convolution<double>(plane, 1e-12);
  plane.batch_groups = 2;
  check_convolution<double>(plane, 1e-12);
  check_convolution<bfloat16>(plane, 1e-2);
  ConvolutionGeometry volume{.batch = 1,
                             .in_features = 2,
                             .out_features = 3,
                             .in_size = {4, 5, 6},
                             .kernel_size = {2, 3, 2},
                             .stride = {1, 2, 2},
                             .pad_high = {1, 1, -1}};
  check_convolution<float>(volume, 1e-5);
  ConvolutionGeometry line{.batch = 3,
                           .in_features = 4,
                           .out_features = 4,
                           .feature_groups = 4,
                           .in_size = {11, 1, 1},
                           .kernel_size = {4, 1, 1}};
  check_convolution<float>(line, 1e-5);
}

TEST(ReferenceConvolution, EmptyResultsGroupsAndThreads) {
  ConvolutionGeometry g{.batch = 1,
                        .in_features = 3,
                        .out_features = 4,
                        .in_size = {2, 1, 1},
                        .kernel_size = {5, 1, 1}};
  EXPECT_EQ(g.out_size(0), 0);
  check_convolution<float>(g, 1e-6);
  g.feature_groups = 2;
  EXPECT_THROW(check_convolution<float>(g, 1e-6), ShapeError);
  g = {.batch = 2,
       .in_features = 8,
       .out_features = 8,
       .in_size = {20, 20, 1},
       .kernel_size = {3, 3, 1}};
  const std::vector<float> x = random_floats(2 * 8 * 400, 5), w = random_floats(8 * 8 * 9, 6);
  EXPECT_TRUE(same_for_all_thread_counts([&] {
    std::vector<float> y(2 * 8 * 18 * 18);
    reference_convolution({DType::kF32, DType::kF32, g, x.data(), layout(8, g.in_size, true),
                           w.data(), layout(8, g.kernel_size, true), y.data(),
                           layout(8, {18, 18, 1}, true)});
    return y;
  }));
}

// Windows of a two-dimensional geometry by the definition.
template <class T, class Visit>
void for_windows(const WindowGeometry& g, Visit&& visit) {
  const Shape out = g.out_shape();
  for (int64_t p0 = 0; p0 < out[0]; ++p0)
    for (int64_t p1 = 0; p1 < out[1]; ++p1)
      for (int64_t t0 = 0; t0 < g.window[0]; ++t0)
        for (int64_t t1 = 0; t1 < g.window[1]; ++t1) {
          const int64_t x0 = p0 * g.stride[0] + t0 * g.window_dilation[0] - g.pad_low[0];
          const int64_t x1 = p1 * g.stride[1] + t1 * g.window_dilation[1] - g.pad_low[1];
          const bool inside =
              x0 >= 0 && x1 >= 0 && x0 % g.base_dilation[0] == 0 && x1 % g.base_dilation[1] == 0 &&
              x0 / g.base_dilation[0] < g.shape[0] && x1 / g.base_dilation[1] < g.shape[1];
          if (inside) visit(p0 * out[1] + p1, x0 / g.base_dilation[0], x1 / g.base_dilation[1]);
        }
}

std::vector<WindowGeometry> window_cases() {
  WindowGeometry plain = WindowGeometry::plain({6, 7}, {2, 3});
  WindowGeometry strided = plain;
  strided.stride = {2, 2};
  strided.pad_low = {1, 0};
  strided.pad_high = {0, 2};
  WindowGeometry dilated = strided;
  dilated.window_dilation = {2, 2};
  dilated.base_dilation = {1, 2};
  WindowGeometry cut = plain;
  cut.pad_low = {-1, -2};
  WindowGeometry columns =
      WindowGeometry::plain({6, 7}, {3, 1});  // the last dimension is an inner run
  return {plain, strided, dilated, cut, columns};
}

template <class T>
void check_windows() {
  for (const WindowGeometry& g : window_cases()) {
    for (const Strides& strides : {Strides{7, 1}, Strides{1, 6}}) {
      const std::vector<T> x = random_values<T>(42, 1);
      const size_t count = at(element_count(g.out_shape()));
      const std::vector<T> dy = random_values<T>(static_cast<int64_t>(count), 2);
      std::vector<double> sum(count, 0.0), best(count, -1e30), dx(42, 0.0);
      std::vector<int64_t> where(count, -1);
      for_windows<T>(g, [&](int64_t p, int64_t i, int64_t j) {
        const double value = static_cast<double>(widen(x[at(i * strides[0] + j * strides[1])]));
        sum[at(p)] += value;
        if (value > best[at(p)]) best[at(p)] = value, where[at(p)] = i * 7 + j;
      });
      for (size_t p = 0; p < count; ++p) {
        if (where[p] >= 0) dx[at(where[p])] += static_cast<double>(widen(dy[p]));
      }
      const double tolerance = kIsHalf<T> ? 2e-2 : 1e-5;
      std::vector<T> got(count), gradient(42);
      reduce_window(ReduceKind::kSum, dtype_of<T>(), x.data(), strides, g, got.data());
      EXPECT_LT(largest_error(got, sum), tolerance);
      reduce_window(ReduceKind::kMax, dtype_of<T>(), x.data(), strides, g, got.data());
      for (size_t p = 0; p < count; ++p) {
        const double value = static_cast<double>(widen(got[p]));
        if (where[p] >= 0)
          EXPECT_EQ(value, best[p]);
        else
          EXPECT_EQ(value, static_cast<double>(least_value<Wide<T>>()));
      }
      select_and_scatter_add(ReduceKind::kMax, dtype_of<T>(), x.data(), strides, g, dy.data(),
                             gradient.data());
      EXPECT_LT(largest_error(gradient, dx), tolerance);
    }
  }
}

TEST(ReferenceWindow, GeometriesTypesAndGradients) {
  check_windows<float>();
  check_windows<double>();
  check_windows<int32_t>();
  check_windows<bfloat16>();
}

TEST(ReferenceWindow, FirstMaximumTakesTheGradientAndNanWins) {
  const float x[] = {3, 3, 3, std::numeric_limits<float>::quiet_NaN()}, dy[] = {1, 2};
  WindowGeometry g = WindowGeometry::plain({4}, {2});
  g.stride = {2};
  float y[2], dx[4];
  reduce_window(ReduceKind::kMax, DType::kF32, x, Strides{1}, g, y);
  EXPECT_EQ(y[0], 3);
  EXPECT_TRUE(std::isnan(y[1]));
  select_and_scatter_add(ReduceKind::kMax, DType::kF32, x, Strides{1}, g, dy, dx);
  EXPECT_EQ(std::vector<float>(dx, dx + 4), (std::vector<float>{1, 0, 0, 2}));
  EXPECT_THROW(select_and_scatter_add(ReduceKind::kSum, DType::kF32, x, Strides{1}, g, dy, dx),
               ValueError);
  EXPECT_THROW(reduce_window(ReduceKind::kAny, DType::kF32, x, Strides{1}, g, y), ValueError);
}

TEST(ReferenceWindow, PoolingOfImagesDoesNotDependOnThreads) {
  WindowGeometry g = WindowGeometry::plain({3, 12, 12, 5}, {1, 3, 3, 1});
  g.stride = {1, 2, 2, 1};
  g.pad_high = {0, 1, 1, 0};
  const std::vector<float> x = random_floats(3 * 144 * 5, 1);
  const Strides strides = dense_strides(g.shape);
  EXPECT_TRUE(same_for_all_thread_counts([&] {
    std::vector<float> y(at(element_count(g.out_shape()))), dx(x.size());
    reduce_window(ReduceKind::kMax, DType::kF32, x.data(), strides, g, y.data());
    select_and_scatter_add(ReduceKind::kMax, DType::kF32, x.data(), strides, g, y.data(),
                           dx.data());
    dx.insert(dx.end(), y.begin(), y.end());
    return dx;
  }));
  const WindowGeometry empty = WindowGeometry::plain({2, 0}, {1, 1});
  reduce_window(ReduceKind::kSum, DType::kF32, nullptr, Strides{0, 1}, empty, nullptr);
  const WindowGeometry large = WindowGeometry::plain({2}, {3});
  float dx[] = {7, 7};
  select_and_scatter_add(ReduceKind::kMax, DType::kF32, dx, Strides{1}, large, nullptr, dx);
  EXPECT_EQ(dx[0] + dx[1], 0);
}

}  // namespace
}  // namespace linnet::cpu::reference_test
