// Tensors without elements through every operation: what is never read is never refused.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <set>

#include "elementwise_support.h"
#include "linnet/jit.h"
#include "linnet/random.h"
#include "linnet/transforms.h"
#include "op_checks.h"

namespace linnet::testing::size_zero_test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor indices(const Shape& shape) { return zeros(shape, DType::kI32); }

TEST(SizeZero, J_011_nothing_is_taken_from_an_axis_without_elements) {
  expect_tensor(take(zeros({0, 3}), indices({0}), 0), {DType::kF32, {0, 3}}, {});
  expect_tensor(take(zeros({0, 3}), indices({2, 0}), 0), {DType::kF32, {2, 0, 3}}, {});
  expect_tensor(take(zeros({0, 0}), indices({2}), 0), {DType::kF32, {2, 0}}, {});
  expect_tensor(take(zeros({0}), argsort(zeros({0})), 0), {DType::kF32, {0}}, {});
  expect_tensor(take_along_axis(zeros({0, 5}), indices({0, 2}), 1), {DType::kF32, {0, 2}}, {});
  expect_tensor(take_along_axis(zeros({2, 0}), indices({1, 0}), 0), {DType::kF32, {1, 0}}, {});
  expect_tensor(take_along_axis(zeros({3, 0}), indices({3, 0}), 1), {DType::kF32, {3, 0}}, {});
  for (GatherMode mode : {GatherMode::kFill, GatherMode::kClip, GatherMode::kPromiseInBounds}) {
    expect_tensor(take(zeros({0, 3}), indices({0}), 0, mode), {DType::kF32, {0, 3}}, {});
  }
  // Something that is not there is still refused.
  expect_error<ShapeError>(
      [] {
        take(zeros({0, 3}), indices({2}), 0);
      },
      "take: axis 0 of f32[0,3] has no elements to take");
  expect_error<ShapeError>(
      [] {
        take_along_axis(zeros({0, 3}), indices({2, 3}), 0);
      },
      "take_along_axis: axis 0 of f32[0,3] has no elements to take");
}

TEST(SizeZero, J_010_nothing_is_written_to_an_axis_without_elements) {
  expect_tensor(index_set(zeros({0, 3}), indices({0}), zeros({0, 3})), {DType::kF32, {0, 3}}, {});
  expect_tensor(index_add(zeros({2, 0}), indices({1}), zeros({1, 0})), {DType::kF32, {2, 0}}, {});
  expect_tensor(index_add(ones({2, 1}), indices({0}), zeros({0, 1})), {DType::kF32, {2, 1}},
                {1, 1});
}

TEST(SizeZero, J_012_slices_of_nothing) {
  expect_tensor(dynamic_slice(zeros({0, 3}), {0, 1}, {0, 2}), {DType::kF32, {0, 2}}, {});
  expect_tensor(dynamic_slice(ones({2, 3}), {5, 1}, {0, 2}), {DType::kF32, {0, 2}}, {});
  expect_tensor(dynamic_update_slice(ones({2, 1}), zeros({0, 1}), {7, 0}), {DType::kF32, {2, 1}},
                {1, 1});
}

TEST(SizeZero, orders_and_choices_of_nothing) {
  expect_tensor(random::permutation(Key(0), zeros({0, 3})), {DType::kF32, {0, 3}}, {});
  expect_tensor(random::permutation(Key(0), zeros({2, 0}), 1), {DType::kF32, {2, 0}}, {});
  expect_tensor(random::permutation(Key(0), zeros({0}), 0, true), {DType::kF32, {0}}, {});
  for (bool replace : {true, false}) {
    expect_tensor(random::choice(Key(0), zeros({0}), {0}, replace), {DType::kF32, {0}}, {});
    expect_tensor(random::choice(Key(0), zeros({0, 2}), {0}, replace, zeros({0})),
                  {DType::kF32, {0, 2}}, {});
    expect_tensor(random::choice(Key(0), 0, {3, 0}, replace), {DType::kI32, {3, 0}}, {});
  }
  expect_error<ValueError>([] { random::choice(Key(0), zeros({0}), {2}); },
                           "there is nothing to choose from");
}

TEST(SizeZero, J_014_gradients_of_sorting_nothing) {
  for (const Shape& shape : {Shape{0}, Shape{0, 5}, Shape{3, 0}}) {
    const auto weighted = [](const Tensor& y) { return sum(sort(y) * y); };
    EXPECT_EQ(grad(weighted)(zeros(shape)).shape(), shape);
    EXPECT_EQ(grad([&](const Tensor& y) { return sum(grad(weighted)(y)); })(zeros(shape)).shape(),
              shape);
  }
}

TEST(SizeZero, J_021_reductions_of_nothing) {
  const Tensor x = zeros({2, 0});
  expect_tensor(sum(x, Axes{1}), {DType::kF32, {2}}, {0, 0});
  expect_tensor(prod(x, Axes{1}), {DType::kF32, {2}}, {1, 1});
  expect_tensor(mean(x, Axes{1}), {DType::kF32, {2}}, {kNan, kNan});
  expect_tensor(var(x, Axes{1}), {DType::kF32, {2}}, {kNan, kNan});
  expect_tensor(any(x, Axes{1}), {DType::kBool, {2}}, {0, 0});
  expect_tensor(all(x, Axes{1}), {DType::kBool, {2}}, {1, 1});
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    expect_tensor(logsumexp(zeros({2, 0}, dtype), Axes{1}), {dtype, {2}}, {-kInfinity, -kInfinity});
    expect_tensor(
        jit([](const Tensor& y) { return logsumexp(y, Axes{1}, true); })(zeros({2, 0}, dtype)),
        {dtype, {2, 1}}, {-kInfinity, -kInfinity});
  }
  const auto total = [](const Tensor& y) { return sum(logsumexp(y, Axes{1})); };
  expect_tensor(grad(total)(x), {DType::kF32, {2, 0}}, {});
  expect_tensor(softmax(x), {DType::kF32, {2, 0}}, {});
  expect_tensor(log_softmax(x), {DType::kF32, {2, 0}}, {});
  expect_error<ShapeError>([&] { max(x, Axes{1}); }, "max: no elements");
}

bool is_key(const Operand& operand) { return operand.values.kind == Values::Kind::kKey; }

/// The operands of a sample with sizes replaced.
using Resized = std::pair<std::string, Sample>;

/// Every size that occurs becomes 0 wherever it occurs, and every axis of every operand by itself.
std::vector<Resized> emptied(const Sample& sample) {
  std::vector<Resized> out;
  std::set<int64_t> sizes;
  for (const Operand& operand : sample) sizes.insert(operand.shape.begin(), operand.shape.end());
  for (int64_t size : sizes) {
    if (size == 0) continue;
    Sample changed = sample;
    for (Operand& operand : changed) {
      for (int64_t& s : operand.shape) s = s == size && !is_key(operand) ? 0 : s;
    }
    out.push_back({fmt::format("size {}", size), changed});
  }
  for (size_t i = 0; i < sample.size(); ++i) {
    for (size_t d = 0; d < sample[i].shape.size(); ++d) {
      if (sample[i].shape[d] == 0 || is_key(sample[i])) continue;
      Sample changed = sample;
      changed[i].shape[d] = 0;
      out.push_back({fmt::format("axis {} of operand {}", d, i), changed});
    }
  }
  return out;
}

std::string types_of(const TensorList& tensors) {
  std::string out;
  for (const Tensor& t : tensors) out += to_string(t.type()) + " ";
  return out;
}

TensorList ones_of(const TensorList& tensors) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(ones(t.shape(), t.dtype()));
  return out;
}

/// Compiled, forward and reverse, of what was accepted eagerly.
void expect_transformations(const OpCase& row, const TensorList& x, const TensorList& y) {
  EXPECT_EQ(types_of(jit(row.function)(x)), types_of(y));
  if (row.no_gradient || !is_floating(row.base_dtype())) return;
  const Problem p = problem_of(row, x);
  if (p.x.empty() || p.f(p.x).empty()) return;
  const auto [value, pullback] = vjp(p.f, p.x);
  EXPECT_EQ(types_of(pullback(ones_of(value))), types_of(p.x));
  EXPECT_EQ(types_of(jvp(p.f, p.x, ones_of(p.x)).second), types_of(value));
}

/// Rows that take no sample with a size of 0, and why.
const std::map<std::string, std::string>& rows_that_need_elements() {
  static const std::map<std::string, std::string> kReasons{
      {"reduce_max_all", "the largest of nothing"},
      {"reshape_to_scalar", "a scalar has an element"},
      {"dynamic_slice", "slices of a fixed size"},
      {"slice", "slices of a fixed size"},
      {"slice_empty", "starts at a fixed place"},
      {"broadcast_in_dim", "a result of a fixed size"},
      {"broadcast_to_nothing", "a result of a fixed size"},
  };
  return kReasons;
}

class EmptyOperands : public ::testing::TestWithParam<const OpCase*> {};

// What is refused is refused with a text, and what is taken can be compiled and differentiated.
TEST_P(EmptyOperands, are_taken) {
  const OpCase& row = *GetParam();
  bool any = false, tried = false;
  std::string refusals;
  for (const Sample& sample : row.samples) {
    for (const auto& [what, changed] : emptied(sample)) {
      tried = true;
      const TensorList x = make_operands(changed, row.base_dtype(), 3);
      SCOPED_TRACE(row.name + describe(x) + ", " + what);
      TensorList y;
      try {
        y = row.function(x);
      } catch (const Error& error) {
        // Sizes that no longer fit each other, or something to be read that is not there.
        refusals += std::string("\n  ") + error.what();
        continue;
      }
      any = true;
      expect_transformations(row, x, y);
    }
  }
  EXPECT_EQ(any || !tried, !rows_that_need_elements().count(row.name)) << row.name << refusals;
}

std::vector<const OpCase*> all_rows() {
  std::vector<const OpCase*> out;
  for (const OpCase& row : op_table().rows()) out.push_back(&row);
  return out;
}

INSTANTIATE_TEST_SUITE_P(OpTable, EmptyOperands, ::testing::ValuesIn(all_rows()),
                         [](const ::testing::TestParamInfo<const OpCase*>& info) {
                           return info.param->name;
                         });

}  // namespace
}  // namespace linnet::testing::size_zero_test
