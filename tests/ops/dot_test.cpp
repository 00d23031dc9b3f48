#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/ops/dot.h"
#include "core/ops/fused.h"
#include "linnet/back_end.h"
#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::dot_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_close;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_same;
using testing::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile* file = new GoldenFile("ops");
  return *file;
}

const std::map<std::string, DotDims>& golden_dims() {
  static const std::map<std::string, DotDims> dims{
      {"matmul", {{1}, {0}, {}, {}}},
      {"batched", {{2}, {1}, {0}, {0}}},
      {"transposed", {{0}, {1}, {}, {}}},
      {"two_contracted", {{1, 2}, {2, 0}, {}, {}}},
      {"two_batched", {{3}, {1}, {0, 1}, {2, 0}}},
      {"outer", {{}, {}, {}, {}}},
      {"vector", {{0}, {0}, {}, {}}},
  };
  return dims;
}

TEST(Products, J_022_dot_general_agrees_with_the_reference_in_value_and_gradient) {
  for (const auto& [name, dims] : golden_dims()) {
    const std::string prefix = "dot/" + name + "/";
    const Tensor a = golden().tensor(prefix + "a"), b = golden().tensor(prefix + "b");
    const Tensor weight = golden().tensor(prefix + "weight");
    const auto f = [&](const Tensor& p, const Tensor& q) { return dot_general(p, q, dims); };
    expect_golden(f(a, b), golden().tensor(prefix + "out"), 1e-6, name);
    const auto [ga, gb] =
        grad<0, 1>([&](const Tensor& p, const Tensor& q) { return sum(f(p, q) * weight); })(a, b);
    expect_golden(ga, golden().tensor(prefix + "grad_a"), 1e-6, name + " grad_a");
    expect_golden(gb, golden().tensor(prefix + "grad_b"), 1e-6, name + " grad_b");
  }
}

TEST(Products, J_022_sixteen_bit_operands_accumulate_in_f32) {
  const Tensor a = golden().tensor("dot/bf16/a"), b = golden().tensor("dot/bf16/b");
  expect_golden(matmul(a, b), golden().tensor("dot/bf16/out"), 4e-3, "bf16");
  const DotDims dims{{1}, {0}, {}, {}};
  expect_golden(dot_general(a, b, dims, DType::kF32), golden().tensor("dot/bf16/wide"), 1e-6,
                "f32 result");
  const Tensor ones16 = full({1, 4096}, 1, DType::kF16);
  EXPECT_EQ(matmul(ones16, transpose(ones16)).item<double>(), 4096);
  EXPECT_EQ(matmul(ones16, transpose(ones16)).dtype(), DType::kF16);
}

TEST(Products, J_022_integers_and_bool) {
  const Tensor a = golden().tensor("dot/i32/a"), b = golden().tensor("dot/i32/b");
  expect_golden(matmul(a, b), golden().tensor("dot/i32/out"), 0, "i32");
  const Tensor bytes = full({2, 3}, 100, DType::kI8);
  const Tensor wide = dot_general(bytes, bytes, {{1}, {1}, {}, {}}, DType::kI32);
  EXPECT_EQ(wide.dtype(), DType::kI32);
  EXPECT_EQ(wide.to_vector<int32_t>(), (std::vector<int32_t>(4, 30000)));
  const Tensor p = from_vector<int32_t>({1, 0, 0, 1}, {2, 2}).astype(DType::kBool);
  EXPECT_EQ(matmul(p, p).dtype(), DType::kBool);
  EXPECT_EQ(matmul(p, p).to_vector<int>(), (std::vector<int>{1, 0, 0, 1}));
}

TEST(Products, J_022_every_dtype_gives_the_same_small_product) {
  for (const DType dtype :
       {DType::kI8, DType::kI16, DType::kI32, DType::kI64, DType::kU8, DType::kU16, DType::kU32,
        DType::kU64, DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const Tensor a = arange(6).reshape({2, 3}).astype(dtype);
    const Tensor y = matmul(a, transpose(a));
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_EQ(y.to_vector<int>(), (std::vector<int>{5, 14, 14, 50})) << name_of(dtype);
  }
}

TEST(Products, J_022_strided_operands_need_no_dense_copy_by_the_caller) {
  const Tensor x = distinct({4, 5, 6}).astype(DType::kF32),
               w = distinct({6, 5, 3}).astype(DType::kF32);
  const DotDims dims{{0, 1}, {0, 1}, {}, {}};
  const Tensor expected = dot_general(transpose(x).contiguous(), w, dims);
  // Sums of 30 terms of both signs in another order: four roundings of the largest sum of
  // magnitudes.
  const double magnitude = max(dot_general(transpose(abs(x)), abs(w), dims)).item<float>();
  expect_same(dot_general(transpose(x), w, dims), expected, 4 * 0x1p-24 * magnitude,
              "reversed dimensions");
  const DotDims batched{{2}, {0}, {1}, {1}};
  const Tensor dense = dot_general(x, w, batched);
  EXPECT_EQ(dense.shape(), (Shape{5, 4, 3}));
  expect_same(dot_general(flip(x, {2}), flip(w, {0}), batched), dense, 1e-5, "negative strides");
  const Tensor row = broadcast_to(distinct({1, 6}).astype(DType::kF32), {4, 6});
  expect_same(matmul(row, w.reshape({6, 15})), matmul(row.contiguous(), w.reshape({6, 15})), 1e-5,
              "stride 0");
  const Tensor half = x.astype(DType::kBF16);
  expect_same(dot_general(flip(half, {0}), half, {{0, 2}, {0, 2}, {}, {}}),
              dot_general(flip(half, {0}).contiguous(), half, {{0, 2}, {0, 2}, {}, {}}), 1e-2,
              "bf16");
}

TEST(Products, J_022_empty_contractions_are_zero) {
  EXPECT_EQ(matmul(zeros({2, 0}), zeros({0, 3})).to_vector<float>(), std::vector<float>(6, 0.f));
  EXPECT_EQ(matmul(zeros({0, 4}), zeros({4, 3})).shape(), (Shape{0, 3}));
}

TEST(Products, J_022_large_products_agree_with_f64) {
  const Tensor a = distinct({70, 130}, 1e-4), b = distinct({130, 90}, 1e-4);
  const Tensor f32 = matmul(a.astype(DType::kF32), b.astype(DType::kF32));
  expect_same(f32.astype(DType::kF64), matmul(a, b), 1e-5, "f32");
  const Tensor bt = transpose(b).contiguous();
  expect_same(matmul(a.astype(DType::kF32), transpose(bt.astype(DType::kF32))), f32, 1e-5,
              "transposed view");
}

TEST(Products, J_022_all_transformations) {
  check_transforms([](const TensorList& x) { return matmul(x[0], x[1]); },
                   {distinct({2, 3}), distinct({3, 4})});
  check_transforms(
      [](const TensorList& x) {
        return dot_general(x[0], x[1], {{3, 1}, {0, 2}, {0}, {1}});
      },
      {distinct({2, 3, 2, 4}), distinct({4, 2, 3})});
}

TEST(Products, J_022_wider_results_give_cotangents_of_the_operands_dtype) {
  const Tensor a = ones({2, 3}, DType::kBF16), b = ones({3, 2}, DType::kBF16);
  const Tensor g = grad([&](const Tensor& x) {
    return sum(dot_general(x, b, {{1}, {0}, {}, {}}, DType::kF32));
  })(a);
  EXPECT_EQ(g.dtype(), DType::kBF16);
  EXPECT_EQ(g.to_vector<float>(), std::vector<float>(6, 2.f));
}

TEST(Products, J_022_errors) {
  expect_error<ShapeError>(
      [] {
        dot_general(zeros({2, 3}), zeros({4, 5}), {{1}, {0}, {}, {}});
      },
      "contracted sizes differ: axis 1 of lhs f32[2,3] has 3, axis 0 of rhs f32[4,5] has 4");
  expect_error<ShapeError>(
      [] {
        dot_general(zeros({2, 3}), zeros({2, 3}), {{0}, {0}, {0}, {0}});
      },
      "both contracted and batch");
  expect_error<DTypeError>(
      [] {
        dot_general(zeros({2}), zeros({2}), {{0}, {0}, {}, {}}, DType::kBF16);
      },
      "cannot give bf16");
}

TEST(Products, J_023_matmul_follows_numpy) {
  const Tensor x = distinct({2, 1, 3, 4}), y = distinct({5, 4, 6});
  const Tensor z = matmul(x, y);
  EXPECT_EQ(z.shape(), (Shape{2, 5, 3, 6}));
  expect_same(index_axis(index_axis(z, 1, 0), 3, 0),
              matmul(index_axis(index_axis(x, 1, 0), 0, 0), index_axis(y, 3, 0)), 1e-12,
              "broadcast batch");
  EXPECT_EQ(matmul(distinct({4}), y).shape(), (Shape{5, 6}));
  EXPECT_EQ(matmul(x, distinct({4})).shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(matmul(distinct({4}), distinct({4})).shape(), Shape{});
  EXPECT_EQ(matmul(distinct({3, 4}), y).shape(), (Shape{5, 3, 6}));
  check_transforms([](const TensorList& v) { return matmul(v[0], v[1]); },
                   {distinct({1, 2, 2}), distinct({3, 2, 2})});
}

TEST(Products, J_023_matmul_names_the_sizes) {
  expect_error<ShapeError>(
      [] {
        matmul(zeros({32, 784}), zeros({512, 10}));
      },
      "matmul: inner sizes differ: lhs f32[32,784] ends in 784, rhs f32[512,10] starts with 512");
  expect_error<ShapeError>(
      [] {
        matmul(zeros({32, 784}), zeros({10, 784}));
      },
      "rhs looks transposed");
  expect_error<ShapeError>([] { matmul(1.f, zeros({2})); }, "at least one dimension");
}

TEST(Products, J_023_dot_tensordot_outer) {
  const Tensor a = distinct({2, 3, 4}), b = distinct({5, 4, 6});
  EXPECT_EQ(dot(a, b).shape(), (Shape{2, 3, 5, 6}));
  EXPECT_EQ(dot(2.f, a).shape(), a.shape());
  const Tensor t = tensordot(a, distinct({4, 3, 7}), {1, 2}, {1, 0});
  EXPECT_EQ(t.shape(), (Shape{2, 7}));
  expect_close(outer(tensor({1.f, 2.f}), tensor({3.f, 4.f, 5.f})), {3, 4, 5, 6, 8, 10}, 0);
}

TEST(Products, J_023_R_018_sums_of_millions_of_ones_go_on_growing) {
  constexpr int64_t k = (int64_t{1} << 24) + 1024;
  const Tensor row = broadcast_to(ones({}), {1, k});
  for (const int64_t n : {1, 3}) {
    const std::vector<float> wanted(static_cast<size_t>(n), static_cast<float>(k));
    EXPECT_EQ(matmul(row, ones({k, n})).to_vector<float>(), wanted) << n;
    EXPECT_EQ(matmul(row, ones({n, k}).T()).to_vector<float>(), wanted) << n;
  }
}

TEST(Products, J_023_literals_and_mixed_dtypes_promote) {
  EXPECT_EQ(matmul(ones({2, 2}, DType::kBF16), ones({2, 2})).dtype(), DType::kF32);
  EXPECT_EQ(matmul(ones({2, 2}, DType::kI32), ones({2, 2}, DType::kF16)).dtype(), DType::kF16);
}

TEST(Fused, LinearBiasActivationAgreesWithItsDecomposition) {
  std::vector<Activation> activations{Activation()};
  for (const EpilogueActivation& entry : epilogue_activations()) activations.push_back(entry.op);
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16}) {
    // The decomposition rounds the product, the sum with the bias and the activation by themselves.
    const double tolerance = dtype == DType::kF64 ? 1e-15 : dtype == DType::kF32 ? 5e-7 : 1e-2;
    for (const Activation activation : activations) {
      for (const int epilogue : {0, 1, 2, 3}) {
        LinearBiasActivationParams p;
        p.dot = {{2}, {0}, {}, {}, dtype};
        p.has_bias = epilogue & 1;
        p.has_residual = epilogue & 2;
        p.activation = activation;
        TensorList x{distinct({2, 3, 4}, 0.05).astype(dtype), distinct({4, 5}, 0.05).astype(dtype)};
        if (p.has_bias) x.push_back(distinct({5}).astype(dtype));
        if (p.has_residual) x.push_back(distinct({2, 3, 5}).astype(dtype));
        const Tensor whole = emit_one(linear_bias_activation_primitive(), x, p);
        const Tensor parts = linear_bias_activation_primitive().decompose(p, x)[0];
        expect_same(whole, parts, tolerance, name_of(dtype).data());
      }
    }
  }
}

/// A matrix in panels as the kernel of this machine wants them.
Tensor in_panels(const Tensor& w, int64_t width) {
  const int64_t count = (w.shape(1) + width - 1) / width;
  const Tensor filled = pad(w, {{0, 0, 0}, {0, count * width - w.shape(1), 0}});
  return transpose(reshape(filled, {w.shape(0), count, width}), {1, 0, 2}).contiguous();
}

TEST(Fused, PanelLinearAgreesWithItsDecomposition) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const int64_t width = back_end_of(kCpu).panel_columns(dtype);
    ASSERT_GT(width, 0);
    for (const Shape& size :
         {Shape{1, 5, 7}, Shape{3, 400, 50}, Shape{33, 17, 2 * width}, Shape{200, 385, 391}}) {
      for (const int epilogue : {0, 1, 2, 3}) {
        const PanelLinearParams p{size[2], (epilogue & 1) != 0, (epilogue & 2) != 0,
                                  epilogue == 3 ? Activation(ScalarOp::kTanh) : Activation()};
        TensorList x{sin(distinct({size[0], size[1]}, 0.05)).astype(dtype),
                     in_panels(cos(distinct({size[1], size[2]}, 0.03)).astype(dtype), width)};
        if (p.has_bias) x.push_back(sin(distinct({size[2]})).astype(dtype));
        if (p.has_residual) x.push_back(sin(distinct({size[0], size[2]})).astype(dtype));
        const Tensor whole = emit_one(panel_linear_primitive(), x, p);
        const Tensor parts = panel_linear_primitive().decompose(p, x)[0];
        expect_same(whole, parts, dtype == DType::kF64 ? 1e-13 : 2e-5, name_of(dtype).data());
      }
    }
  }
}

}  // namespace
}  // namespace linnet::dot_test
