// Every row of the operation table on `cuda:0` of the emulated driver against the CPU: values in
// every floating dtype, compiled programs, gradients, strided operands.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/precision.h"
#include "ops/on_device.h"
#include "ops/op_checks.h"
#include "ops/op_table.h"

namespace linnet::testing::op_table_on_device_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

TensorList on_host(const TensorList& tensors) { return moved(tensors, kCpu); }

/// Sums may be taken in another order, functions may differ in the last place.
double tolerance(const OpCase& row, DType dtype) {
  return tolerance_in(dtype, 4e-15 * std::max(1., row.scale / 16));
}

void expect_equal(const TensorList& got, const TensorList& expected, const OpCase& row, DType dtype,
                  double factor = 1) {
  const std::string text = difference(on_host(got), expected, factor * tolerance(row, dtype));
  EXPECT_TRUE(text.empty()) << text;
}

class OnCuda : public ::testing::TestWithParam<const OpCase*> {
 protected:
  void SetUp() override {
    ASSERT_GT(device_count(DeviceType::kCuda), 0);
    set_matmul_precision(Precision::kHighest);
  }
  void TearDown() override { set_matmul_precision(Precision::kDefault); }

  template <class F>
  void for_each_sample(DType dtype, const F& check) const {
    const OpCase& row = *GetParam();
    for (size_t i = 0; i < row.samples.size(); ++i) {
      SCOPED_TRACE("sample " + std::to_string(i) + " in " + std::string(name_of(dtype)));
      check(row, make_operands(row.samples[i], dtype, 7));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
};

TEST_P(OnCuda, values) {
  for (const DType dtype :
       {DType::kF32, DType::kF64, DType::kBF16, DType::kF16, GetParam()->base_dtype()}) {
    if (!taken(GetParam()->takes, dtype)) continue;
    if (size_of(dtype) == 2 && !GetParam()->low_precision) continue;
    for_each_sample(dtype, [&](const OpCase& row, const TensorList& x) {
      const TensorList there = row.function(moved(x, kGpu));
      if (!x.empty()) expect_on(kGpu, there);
      expect_equal(there, row.function(x), row, dtype);
    });
  }
}

/// Operands that lie in larger tensors, at odd offsets.
TEST_P(OnCuda, views) {
  const DType dtype = GetParam()->base_dtype();
  for_each_sample(dtype, [&](const OpCase& row, const TensorList& x) {
    TensorList views;
    for (const Tensor& t : x) {
      if (t.rank() == 0) {
        views.push_back(t.to(kGpu));
        continue;
      }
      const int64_t length = t.shape().back();
      const Tensor wide = concatenate({t, t, t}, -1).to(kGpu);
      views.push_back(slice_axis(wide, length, 2 * length, -1));
    }
    expect_equal(row.function(views), row.function(x), row, dtype);
  });
}

TEST_P(OnCuda, compiled_values) {
  const DType dtype = GetParam()->base_dtype();
  for_each_sample(dtype, [&](const OpCase& row, const TensorList& x) {
    const auto compiled = jit([&](const TensorList& operands) { return row.function(operands); });
    const TensorList there = compiled(moved(x, kGpu));
    if (!x.empty()) expect_on(kGpu, there);
    expect_equal(there, compiled(x), row, dtype);
  });
}

TEST_P(OnCuda, gradients) {
  const DType dtype = GetParam()->base_dtype();
  for_each_sample(dtype, [&](const OpCase& row, const TensorList& x) {
    if (!has_gradient(row, x)) return;
    const TensorList there = gradients(row, moved(x, kGpu));
    expect_on(kGpu, there);
    expect_equal(there, gradients(row, x), row, dtype, std::max(4., row.gradient_scale));
  });
}

std::vector<const OpCase*> rows() {
  std::vector<const OpCase*> out;
  for (const OpCase& row : op_table().rows()) out.push_back(&row);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Rows, OnCuda, ::testing::ValuesIn(rows()),
                         [](const auto& info) { return info.param->name; });

}  // namespace
}  // namespace linnet::testing::op_table_on_device_test
