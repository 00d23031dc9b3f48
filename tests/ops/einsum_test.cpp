#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "linnet/error.h"
#include "linnet/ops.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::einsum_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_same;

/// The definition: the sum over all values of all labels, one element at a time. Letters only.
Tensor naive(const std::vector<std::string>& operands, const std::string& result,
             const std::vector<Tensor>& x) {
  std::map<char, int64_t> sizes;
  std::vector<std::vector<double>> values;
  for (size_t i = 0; i < x.size(); ++i) {
    values.push_back(x[i].to_vector<double>());
    for (size_t d = 0; d < operands[i].size(); ++d) sizes[operands[i][d]] = x[i].shape()[d];
  }
  Shape shape;
  for (char c : result) shape.push_back(sizes[c]);
  std::vector<double> out(static_cast<size_t>(element_count(shape)), 0.0);
  std::map<char, int64_t> at;
  int64_t total = 1;
  for (const auto& [label, size] : sizes) total *= size;
  for (int64_t n = 0; n < total; ++n) {
    int64_t rest = n;
    for (const auto& [label, size] : sizes) {
      at[label] = rest % size;
      rest /= size;
    }
    const auto position = [&](const std::string& labels) {
      int64_t index = 0;
      for (char c : labels) index = index * sizes[c] + at[c];
      return static_cast<size_t>(index);
    };
    double product = 1;
    for (size_t i = 0; i < x.size(); ++i) product *= values[i][position(operands[i])];
    out[position(result)] += product;
  }
  return from_vector(out, shape);
}

void check(const std::vector<std::string>& operands, const std::string& result,
           const std::vector<Shape>& shapes) {
  std::vector<Tensor> x;
  std::string equation;
  for (size_t i = 0; i < shapes.size(); ++i) {
    x.push_back(distinct(shapes[i], 0.1));
    equation += (i ? "," : "") + operands[i];
  }
  equation += " -> " + result;
  expect_same(einsum(equation, x), naive(operands, result, x), 1e-10, equation.c_str());
}

TEST(Products, J_023_einsum_agrees_with_the_reference) {
  const testing::GoldenFile golden("ops");
  const char* equations[] = {"bij,bjk->bik", "bij,bjk->kb", "bij,bjk->ibk"};
  for (int i = 0; i < 3; ++i) {
    const std::string prefix = "einsum/" + std::to_string(i) + "/";
    const Tensor a = golden.tensor(prefix + "a"), b = golden.tensor(prefix + "b");
    expect_golden(einsum(equations[i], {a, b}), golden.tensor(prefix + "out"), 1e-6, equations[i]);
  }
  const Tensor a = golden.tensor("einsum/diagonal/a");
  expect_golden(einsum("ii->i", {a}), golden.tensor("einsum/diagonal/diagonal"), 1e-6, "diagonal");
  expect_golden(einsum("ii->", {a}), golden.tensor("einsum/diagonal/trace"), 1e-6, "trace");
}

TEST(Products, J_023_einsum_with_explicit_result) {
  check({"ij", "jk"}, "ik", {{2, 3}, {3, 4}});
  check({"ij", "jk"}, "ki", {{2, 3}, {3, 4}});
  check({"ij"}, "ji", {{2, 3}});
  check({"ij"}, "", {{2, 3}});
  check({"i", "j"}, "ij", {{2}, {3}});
  check({"ijk", "ilk", "jl"}, "li", {{2, 3, 4}, {2, 5, 4}, {3, 5}});
  check({"btnh", "bsnh"}, "bnts", {{2, 3, 2, 4}, {2, 5, 2, 4}});
  check({"bnts", "bsnh"}, "btnh", {{2, 2, 3, 5}, {2, 5, 2, 4}});
  check({"iij", "jk"}, "ik", {{3, 3, 2}, {2, 4}});
  check({"ab", "bc", "cd", "de"}, "ae", {{2, 3}, {3, 4}, {4, 2}, {2, 5}});
  check({"abc", "d"}, "a", {{2, 3, 4}, {2}});
  check({"iii"}, "i", {{3, 3, 3}});
}

TEST(Products, J_023_einsum_with_implicit_result) {
  const Tensor a = distinct({2, 3}), b = distinct({3, 4});
  expect_same(einsum("ij,jk", {a, b}), matmul(a, b), 1e-12, "matrix product");
  expect_same(einsum("ba", {a}), transpose(a), 0, "alphabetical order");
  expect_same(einsum("ij,ij", {a, a}), sum(a * a), 1e-12, "no labels left");
}

TEST(Products, J_023_einsum_with_ellipsis) {
  const Tensor a = distinct({2, 1, 3, 4}), b = distinct({5, 4, 6});
  expect_same(einsum("...ij,...jk->...ik", {a, b}), matmul(a, b), 1e-10, "broadcast in front");
  expect_same(einsum("...ij,...jk", {a, b}), matmul(a, b), 1e-10, "implicit result");
  expect_same(einsum("i...->...", {a}), sum(a, Axes{0}), 1e-10, "summed label");
  const Tensor v = distinct({4});
  expect_same(einsum("...i,i->...", {a, v}), matmul(a, v), 1e-10, "one operand without");
  expect_same(einsum("...i,i->i...", {a, v}), moveaxis(a * v, -1, 0), 1e-10, "ellipsis behind");
}

TEST(Products, J_023_einsum_keeps_dtypes) {
  EXPECT_EQ(einsum("ij->i", {ones({2, 3}, DType::kBF16)}).dtype(), DType::kBF16);
  EXPECT_EQ(einsum("ii->", {ones({3, 3}, DType::kI8)}).dtype(), DType::kI8);
  EXPECT_EQ(einsum("i,i->i", {ones({3}, DType::kF16), ones({3})}).dtype(), DType::kF32);
}

TEST(Products, J_023_einsum_transforms) {
  check_transforms(
      [](const TensorList& x) {
        return einsum("bij,bjk,ik->bk", {x[0], x[1], x[2]});
      },
      {distinct({2, 2, 3}), distinct({2, 3, 2}), distinct({2, 2})});
  check_transforms([](const TensorList& x) { return einsum("ii...->i...", {x[0]}); },
                   {distinct({2, 2, 3})});
}

TEST(Products, J_023_einsum_errors) {
  expect_error<ValueError>(
      [] {
        einsum("ij,jk->ik", {zeros({2, 2})});
      },
      "describes 2 operands, got 1");
  expect_error<ShapeError>([] { einsum("ij->i", {zeros({2})}); }, "has 1 dimensions");
  expect_error<ShapeError>(
      [] {
        einsum("ij,jk->ik", {zeros({2, 3}), zeros({4, 5})});
      },
      "sizes of 'j' differ");
  expect_error<ValueError>(
      [] {
        einsum("ij->ik", {zeros({2, 2})});
      },
      "'k' of the result is in no operand");
  expect_error<ValueError>([] { einsum("ij->ii", {zeros({2, 2})}); }, "occurs twice");
  expect_error<ValueError>([] { einsum("i1->i", {zeros({2, 2})}); }, "unexpected '1'");
}

}  // namespace
}  // namespace linnet::einsum_test
