#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "linnet/error.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::window_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_same;
using testing::GoldenFile;

struct Geometry {
  std::string padding;  // empty: that of the options
  WindowOptions options;
};

const std::map<std::string, Geometry>& golden_geometries() {
  static const std::map<std::string, Geometry> table{
      {"valid", {"VALID", {.window = {1, 2, 2, 1}, .strides = {1, 2, 2, 1}}}},
      {"same", {"SAME", {.window = {1, 3, 3, 1}, .strides = {1, 2, 2, 1}}}},
      {"overlap", {"VALID", {.window = {1, 3, 2, 1}, .strides = {1, 1, 1, 1}}}},
      {"explicit",
       {"",
        {.window = {1, 3, 2, 1},
         .strides = {1, 2, 1, 1},
         .padding = {{0, 0}, {1, 0}, {0, 1}, {0, 0}}}}},
      {"dilated",
       {"VALID",
        {.window = {1, 2, 2, 1}, .strides = {1, 1, 2, 1}, .window_dilation = {1, 2, 2, 1}}}},
  };
  return table;
}

WindowOptions options_for(const Geometry& g, const Tensor& x) {
  WindowOptions options = g.options;
  if (!g.padding.empty()) {
    options.padding = resolve_padding(g.padding, x.shape(), options.window, options.strides,
                                      options.window_dilation);
  }
  return options;
}

class WindowGolden : public ::testing::TestWithParam<DType> {};

TEST_P(WindowGolden, J_028_agrees_with_the_reference_in_value_and_gradient) {
  const GoldenFile golden("ops");
  const DType dtype = GetParam();
  const std::pair<const char*, WindowReduction> kinds[] = {{"max", WindowReduction::kMax},
                                                           {"min", WindowReduction::kMin},
                                                           {"add", WindowReduction::kSum}};
  int checked = 0;
  for (const auto& [name, geometry] : golden_geometries()) {
    for (const auto& [kind, reduction] : kinds) {
      for (const char* source : {"ties", "normal"}) {
        const std::string what = name + "_" + kind + "_" + source, prefix = "window/" + what + "/";
        if (!golden.contains(prefix + "x")) continue;
        const auto read = [&](const char* part) {
          return golden.tensor(prefix + part).astype(dtype);
        };
        const Tensor x = read("x"), weight = read("weight");
        const WindowOptions options = options_for(geometry, x);
        const auto f = [&, chosen = reduction](const Tensor& v) {
          return reduce_window(v, chosen, options);
        };
        const double tolerance = size_of(dtype) == 2 ? 0.06 : 1e-6;
        expect_golden(f(x), read("out"), tolerance, what);
        ++checked;
        if (!golden.contains(prefix + "grad")) continue;
        const Tensor g = grad([&](const Tensor& v) { return sum(f(v) * weight); })(x);
        expect_golden(g, read("grad"), tolerance, what + " grad");
      }
    }
  }
  EXPECT_EQ(checked, 25);
}

// Rounding to 16 bits makes ties of different elements, whose gradients go elsewhere than in f32:
// bf16 and f16 are held against f32 below.
INSTANTIATE_TEST_SUITE_P(Dtypes, WindowGolden, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

TEST(Windows, J_028_every_dtype_gives_the_same_small_pools) {
  const Tensor x = from_vector<int32_t>({3, 1, 2, 2, 0, 5, 4, 4, 1, 1}, {1, 10, 1});
  const WindowOptions options{.window = {1, 3, 1}, .strides = {1, 2, 1}};
  for (const DType dtype : {DType::kI8, DType::kI32, DType::kI64, DType::kU8, DType::kU64,
                            DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const Tensor v = x.astype(dtype);
    const auto values = [&](WindowReduction reduction) {
      const Tensor y = reduce_window(v, reduction, options);
      EXPECT_EQ(y.dtype(), dtype);
      return y.to_vector<int>();
    };
    EXPECT_EQ(values(WindowReduction::kSum), (std::vector<int>{6, 4, 9, 9})) << name_of(dtype);
    EXPECT_EQ(values(WindowReduction::kMax), (std::vector<int>{3, 2, 5, 4})) << name_of(dtype);
    EXPECT_EQ(values(WindowReduction::kMin), (std::vector<int>{1, 0, 0, 1})) << name_of(dtype);
    if (!is_floating(dtype)) continue;
    const Tensor g = grad(
        [&](const Tensor& t) { return sum(reduce_window(t, WindowReduction::kMax, options)); })(v);
    EXPECT_EQ(g.dtype(), dtype);
    EXPECT_EQ(g.to_vector<int>(), (std::vector<int>{1, 0, 1, 0, 0, 1, 1, 0, 0, 0}))
        << name_of(dtype);
  }
}

TEST(Windows, J_028_padding_is_the_identity) {
  const Tensor x = tensor({-2.f, -1.f});
  const WindowOptions options{.window = {2}, .padding = {{2, 0}}};
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(reduce_window(x, WindowReduction::kMax, options).to_vector<double>(),
            (std::vector<double>{-infinity, -2, -1}));
  EXPECT_EQ(reduce_window(x, WindowReduction::kMin, options).to_vector<double>(),
            (std::vector<double>{infinity, -2, -2}));
  EXPECT_EQ(reduce_window(x, WindowReduction::kSum, options).to_vector<double>(),
            (std::vector<double>{0, -2, -3}));
}

TEST(Windows, J_028_nan_wins) {
  const Tensor x = tensor({1.f, std::numeric_limits<float>::quiet_NaN(), 2.f});
  const Tensor y = reduce_window(x, WindowReduction::kMax, {.window = {3}});
  EXPECT_TRUE(std::isnan(y.item<float>()));
}

TEST(Windows, J_028_all_transformations) {
  const std::pair<const char*, WindowOptions> cases[] = {
      {"overlapping", {.window = {1, 2, 2, 1}, .padding = {{0, 0}, {1, 0}, {0, 1}, {0, 0}}}},
      {"strided and dilated",
       {.window = {1, 2, 2, 1}, .strides = {1, 1, 2, 1}, .window_dilation = {1, 2, 1, 1}}},
      {"dilated operand",
       {.window = {1, 2, 2, 1}, .strides = {1, 2, 1, 1}, .base_dilation = {1, 2, 3, 1}}},
      {"cropped", {.window = {1, 2, 1, 1}, .padding = {{0, 0}, {-1, 0}, {0, -1}, {0, 0}}}},
  };
  for (const auto& [name, options] : cases) {
    SCOPED_TRACE(name);
    const Tensor x = distinct({2, 3, 4, 2});
    for (const auto reduction :
         {WindowReduction::kSum, WindowReduction::kMax, WindowReduction::kMin}) {
      // Windows that see holes only are infinite; their values are not what is checked here.
      const auto f = [&, chosen = options](const TensorList& v) {
        const Tensor y = reduce_window(v[0], reduction, chosen);
        return where(is_finite(y), y, zeros_like(y));
      };
      check_transforms(f, {x});
    }
  }
}

TEST(Windows, J_028_forward_mode_selects_the_first_maximum) {
  const Tensor x = tensor({1.f, 3.f, 3.f, 0.f}), t = tensor({10.f, 20.f, 30.f, 40.f});
  const auto f = [](const Tensor& v) {
    return reduce_window(v, WindowReduction::kMax,
                         {.window = {2}, .strides = {1}, .padding = {{0, 0}}});
  };
  EXPECT_EQ(jvp(f, x, t).second.to_vector<float>(), (std::vector<float>{20, 20, 30}));
}

TEST(Windows, J_028_errors) {
  expect_error<ShapeError>(
      [] {
        reduce_window(zeros({2, 3}), WindowReduction::kMax, {.window = {2}});
      },
      "expected 2 window sizes");
  expect_error<DTypeError>(
      [] { reduce_window(zeros({2}, DType::kBool), WindowReduction::kSum, {.window = {2}}); },
      "numeric dtype");
  expect_error<ValueError>(
      [] { reduce_window(zeros({2}), WindowReduction::kSum, {.window = {0}}); }, "at least 1");
}

}  // namespace
}  // namespace linnet::window_test
