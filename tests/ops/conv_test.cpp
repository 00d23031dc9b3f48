#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/ops/fused.h"
#include "linnet/conv_transpose.h"
#include "linnet/error.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::conv_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_same;
using testing::GoldenFile;

using Padding = std::vector<std::pair<int64_t, int64_t>>;

struct GoldenCase {
  std::string padding;  // empty: `options.padding`
  ConvOptions options;
};

/// The geometries of tests/reference/cases/conv_cases.py.
const std::map<std::string, GoldenCase>& golden_cases() {
  static const std::map<std::string, GoldenCase> cases{
      {"1d_same", {"SAME", {}}},
      {"1d_valid_strided", {"VALID", {.strides = {2}}}},
      {"1d_same_strided", {"SAME", {.strides = {3}}}},
      {"1d_dilated", {"SAME", {.rhs_dilation = {2}}}},
      {"1d_input_dilated", {"", {.padding = {{2, 1}}, .lhs_dilation = {2}}}},
      {"1d_grouped", {"SAME", {.feature_groups = 2}}},
      {"1d_batch_groups", {"SAME", {.batch_groups = 2}}},
      {"1d_negative_padding", {"", {.padding = {{-1, 2}}}}},
      {"2d_same", {"SAME", {}}},
      {"2d_same_lower", {"SAME_LOWER", {}}},
      {"2d_valid", {"VALID", {}}},
      {"2d_strided", {"SAME", {.strides = {2, 3}}}},
      {"2d_strided_leftover", {"VALID", {.strides = {2, 4}}}},
      {"2d_dilated", {"VALID", {.rhs_dilation = {2, 3}}}},
      {"2d_input_dilated", {"", {.padding = {{2, 2}, {1, 2}}, .lhs_dilation = {2, 3}}}},
      {"2d_both_dilated",
       {"",
        {.strides = {2, 1},
         .padding = {{1, 1}, {1, 1}},
         .lhs_dilation = {2, 2},
         .rhs_dilation = {2, 1}}}},
      {"2d_grouped", {"SAME", {.feature_groups = 3}}},
      {"2d_depthwise", {"SAME", {.strides = {2, 2}, .feature_groups = 4}}},
      {"2d_batch_groups", {"SAME", {.batch_groups = 4}}},
      {"2d_negative_padding", {"", {.padding = {{-1, 0}, {2, -2}}}}},
      {"2d_pointwise", {"VALID", {}}},
      {"2d_pointwise_strided", {"VALID", {.strides = {2, 2}}}},
      {"2d_large_kernel", {"", {.padding = {{3, 3}, {3, 3}}}}},
      {"3d_same", {"SAME", {}}},
      {"3d_strided", {"VALID", {.strides = {2, 1, 2}}}},
      {"3d_dilated_grouped", {"SAME", {.rhs_dilation = {2, 1, 2}, .feature_groups = 2}}},
      {"3d_input_dilated", {"", {.padding = {{1, 1}, {1, 0}, {0, 1}}, .lhs_dilation = {2, 2, 2}}}},
  };
  return cases;
}

ConvOptions options_for(const GoldenCase& c, const Tensor& x, const Tensor& w) {
  ConvOptions options = c.options;
  if (c.padding.empty()) return options;
  const Shape sizes(x.shape().begin() + 1, x.shape().end() - 1),
      window(w.shape().begin(), w.shape().end() - 2);
  options.padding =
      resolve_padding(c.padding, sizes, window, options.strides, options.rhs_dilation);
  return options;
}

class ConvGolden : public ::testing::TestWithParam<DType> {};

TEST_P(ConvGolden, J_025_agrees_with_the_reference_in_value_and_gradients) {
  const GoldenFile golden("ops");
  const DType dtype = GetParam();
  const double tolerance = size_of(dtype) == 2 ? 0.1 : 2e-6;
  for (const auto& [name, c] : golden_cases()) {
    const auto read = [&, prefix = "conv/" + name + "/"](const char* part) {
      return golden.tensor(prefix + part).astype(dtype);
    };
    const Tensor x = read("x"), w = read("kernel"), weight = read("weight");
    const ConvOptions options = options_for(c, x, w);
    const auto f = [&](const Tensor& p, const Tensor& q) {
      return conv_general_dilated(p, q, options);
    };
    expect_golden(f(x, w), read("out"), tolerance, name);
    const auto [gx, gw] =
        grad<0, 1>([&](const Tensor& p, const Tensor& q) { return sum(f(p, q) * weight); })(x, w);
    expect_golden(gx, read("grad_x"), tolerance, name + " grad_x");
    expect_golden(gw, read("grad_kernel"), tolerance, name + " grad_kernel");
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ConvGolden,
                         ::testing::Values(DType::kF32, DType::kF64, DType::kBF16, DType::kF16),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

TEST(Convolutions, J_025_other_layouts_are_transposed_views) {
  const GoldenFile golden("ops");
  const Tensor x = golden.tensor("conv/2d_nchw/x"), w = golden.tensor("conv/2d_nchw/kernel");
  ConvOptions options{.strides = {1, 2}};
  options.padding = resolve_padding("SAME", std::vector<int64_t>{5, 4}, std::vector<int64_t>{3, 3},
                                    options.strides);
  const Tensor y =
      conv_general_dilated(transpose(x, {0, 2, 3, 1}), transpose(w, {2, 3, 1, 0}), options);
  expect_golden(transpose(y, {0, 3, 1, 2}).contiguous(), golden.tensor("conv/2d_nchw/out"), 2e-6,
                "nchw");
}

TEST(Convolutions, J_025_integers) {
  const Tensor x = arange(5).reshape({1, 5, 1}), w = from_vector<int32_t>({1, 2}, {2, 1, 1});
  const Tensor y = conv_general_dilated(x, w);
  EXPECT_EQ(y.dtype(), DType::kI32);
  EXPECT_EQ(y.to_vector<int>(), (std::vector<int>{2, 5, 8, 11}));
}

TEST(Convolutions, J_025_empty_batches_and_results) {
  EXPECT_EQ(conv_general_dilated(zeros({0, 5, 2}), zeros({3, 2, 4})).shape(), (Shape{0, 3, 4}));
  EXPECT_EQ(conv_general_dilated(zeros({2, 2, 2}), zeros({3, 2, 4})).shape(), (Shape{2, 0, 4}));
  const Tensor w = ones({3, 2, 4});
  const Tensor g = grad([&](const Tensor& k) {
    return sum(conv_general_dilated(zeros({0, 5, 2}), k));
  })(w);
  EXPECT_EQ(g.to_vector<float>(), std::vector<float>(24, 0.f));
}

TEST(Convolutions, J_025_large_convolutions_agree_with_f64) {
  const Tensor x = distinct({2, 16, 16, 32}, 1e-4), w = distinct({3, 3, 32, 32}, 1e-4);
  const ConvOptions options{.padding = {{1, 1}, {1, 1}}};
  const Tensor y = conv_general_dilated(x, w, options);
  const Tensor y32 = conv_general_dilated(x.astype(DType::kF32), w.astype(DType::kF32), options);
  expect_same(y32.astype(DType::kF64), y, 1e-4, "f32");
}

TEST(Convolutions, J_025_padding_of_same) {
  const auto same = [](int64_t n, int64_t k, int64_t s) {
    return resolve_padding("SAME", std::vector<int64_t>{n}, std::vector<int64_t>{k},
                           std::vector<int64_t>{s})[0];
  };
  EXPECT_EQ(same(5, 3, 1), (std::pair<int64_t, int64_t>{1, 1}));
  EXPECT_EQ(same(6, 4, 1), (std::pair<int64_t, int64_t>{1, 2}));
  EXPECT_EQ(same(8, 3, 2), (std::pair<int64_t, int64_t>{0, 1}));
  EXPECT_EQ(same(4, 1, 2), (std::pair<int64_t, int64_t>{0, 0}));
  expect_error<ValueError>([] { resolve_padding("FULL", {}, {}, {}); },
                           "expected SAME, SAME_LOWER or VALID");
}

struct TransformCase {
  const char* name;
  Shape x, w;
  ConvOptions options;
};

TEST(Convolutions, J_025_all_transformations) {
  const TransformCase cases[] = {
      {"plain", {1, 4, 2}, {2, 2, 3}, {.padding = {{1, 0}}}},
      {"strided and dilated",
       {2, 5, 1},
       {2, 1, 2},
       {.strides = {2}, .padding = {{1, 1}}, .rhs_dilation = {2}}},
      {"transposed", {1, 3, 2}, {3, 2, 1}, {.padding = {{1, 2}}, .lhs_dilation = {2}}},
      {"both dilated",
       {1, 3, 1},
       {2, 1, 1},
       {.strides = {2}, .padding = {{1, 1}}, .lhs_dilation = {3}}},
      {"grouped", {1, 3, 4}, {2, 2, 2}, {.feature_groups = 2}},
      {"transposed and grouped",
       {1, 3, 4},
       {2, 2, 2},
       {.padding = {{1, 1}}, .lhs_dilation = {2}, .feature_groups = 2}},
      {"batch groups", {2, 3, 1}, {2, 1, 2}, {.batch_groups = 2}},
      {"cropped", {1, 5, 1}, {2, 1, 1}, {.padding = {{-1, -1}}}},
  };
  for (const TransformCase& c : cases) {
    SCOPED_TRACE(c.name);
    check_transforms(
        [&](const TensorList& v) { return conv_general_dilated(v[0], v[1], c.options); },
        {distinct(c.x), distinct(c.w)});
  }
}

TEST(Convolutions, J_026_transposed_convolutions_as_in_jax) {
  const Tensor x = reshape(arange(1.0, 7.0), {1, 3, 2}),
               w = reshape(arange(0.0, 12.0), {3, 2, 2}) / 4 - 1;
  // By jax.lax.conv_transpose of JAX 0.10.2.
  const auto expect = [&](const ConvTransposeOptions& options, const std::vector<double>& wanted) {
    testing::expect_close(conv_transpose(x, w, options), wanted, 1e-6);
  };
  expect({.strides = {2}}, {4, 4.75, 1, 1.75, 7, 9.5, 2, 3.75, 9, 13.5, 3, 5.75});
  expect({.strides = {2}, .padding = "VALID"},
         {4, 4.75, 1, 1.75, 7, 9.5, 2, 3.75, 9, 13.5, 3, 5.75, -8, -5.25});
  expect({.strides = {4}}, {4,  4.75,  1, 1.75, -2, -1.25, 0, 0,    9,  10.75, 2, 3.75,
                            -5, -3.25, 0, 0,    14, 16.75, 3, 5.75, -8, -5.25, 0, 0});
  expect({.strides = {2}, .padding = "VALID", .rhs_dilation = {2}},
         {4, 4.75, 0, 0, 10, 12.5, 0, 0, 14, 19.25, 0, 0, -2, 2.5, 0, 0, -8, -5.25});
  expect({.strides = {2}, .transpose_kernel = true},
         {-2.5, -1, 0.5, 2, -2.5, 2.5, 1, 4.5, -1.5, 7.5, 1.5, 7});
  expect({.strides = {2}, .edges = Padding{{1, 0}}}, {1, 1.75, 7, 9.5, 2, 3.75, 9, 13.5});
  expect({.strides = {2}, .edges = Padding{{1, 0}}, .consistent_padding = true},
         {1, 1.75, 7, 9.5, 2, 3.75, 9, 13.5, 3, 5.75, -8, -5.25});
  expect_error<ValueError>([&] { conv_transpose(x, w, {.padding = "CAUSAL"}); }, "got CAUSAL");
  expect_error<ShapeError>([&] { conv_transpose(x, w[0], {}); }, "of the same rank");
  expect_error<ShapeError>(
      [&] {
        conv_transpose(x, w, {.strides = {1, 2}});
      },
      "expected 1 strides");
}

TEST(Convolutions, J_026_a_transposed_kernel_gives_the_transpose) {
  const Tensor x = distinct({2, 6, 4, 3}), w = distinct({3, 2, 3, 5});
  const ConvOptions forward{.strides = {2, 2}, .padding = {{1, 1}, {0, 0}}};
  const auto f = [&](const Tensor& v) { return conv_general_dilated(v, w, forward); };
  const Tensor y = f(x), ct = distinct(y.shape());
  const Tensor wanted = grad([&](const Tensor& v) { return sum(f(v) * ct); })(x);
  // The rows that the strided convolution did not reach are missing at the end.
  const Tensor got = conv_transpose(ct, w,
                                    {.strides = {2, 2},
                                     .edges = Padding{{1, 1}, {0, 0}},
                                     .consistent_padding = true,
                                     .transpose_kernel = true});
  expect_same(got, slice_axis(wanted, 0, got.shape(1), 1), 1e-12, "transpose");
  EXPECT_EQ(got.shape(), (Shape{2, 5, 4, 3}));
}

TEST(Convolutions, J_025_errors) {
  expect_error<ShapeError>(
      [] {
        conv_general_dilated(zeros({2, 5, 5, 3}), zeros({3, 3, 4, 8}));
      },
      "channels differ: x f32[2,5,5,3] has 3, the kernel takes 4");
  expect_error<ShapeError>(
      [] {
        conv_general_dilated(zeros({2, 5}), zeros({3, 3}));
      },
      "1 to 3 spatial dimensions");
  expect_error<ShapeError>(
      [] {
        conv_general_dilated(zeros({2, 5, 3}), zeros({3, 3, 8}), {.strides = {1, 1}});
      },
      "expected 1 strides");
  expect_error<ValueError>(
      [] {
        conv_general_dilated(zeros({2, 5, 3}), zeros({3, 3, 8}), {.rhs_dilation = {0}});
      },
      "at least 1");
  expect_error<ShapeError>(
      [] {
        conv_general_dilated(zeros({3, 5, 3}), zeros({3, 3, 8}), {.batch_groups = 2});
      },
      "does not divide into 2 batch groups");
}

TEST(Fused, ConvBiasActivationAgreesWithItsDecomposition) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
    for (const bool residual : {false, true}) {
      ConvBiasActivationParams p;
      p.conv = {{1}, {1}, {1}, {1}, {1}, 1, {5}, {3}};
      p.has_bias = true;
      p.has_residual = residual;
      p.activation = ScalarOp::kRelu;
      TensorList x{distinct({2, 5, 3}, 0.1).astype(dtype), distinct({3, 3, 4}, 0.1).astype(dtype),
                   distinct({4}).astype(dtype)};
      if (residual) x.push_back(distinct({2, 5, 4}).astype(dtype));
      expect_same(emit_one(conv_bias_activation_primitive(), x, p),
                  conv_bias_activation_primitive().decompose(p, x)[0],
                  size_of(dtype) == 2 ? 2e-2 : 1e-5, name_of(dtype).data());
    }
  }
}

}  // namespace
}  // namespace linnet::conv_test
