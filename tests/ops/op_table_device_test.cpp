// Every row of the operation table on a second device, whose memory the host cannot touch and whose
// work is done late (tests/support/fake_device.h): values, gradients and compiled programs are
// those of the CPU bit for bit.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "on_device.h"
#include "op_table.h"
#include "support/fake_device.h"

namespace linnet::testing::op_table_device_test {
namespace {

/// Bits and types, so that NaN is equal to itself.
std::string text_of(const TensorList& tensors) {
  std::string out;
  for (const Tensor& t : tensors) {
    out += to_string(t.type());
    const Tensor host = t.to(kCpu).contiguous();
    const auto bytes = static_cast<size_t>(host.size()) * size_of(host.dtype());
    out.append(static_cast<const char*>(dlpack_view(host).data), bytes);
  }
  return out;
}

class OnSecondDevice : public ::testing::TestWithParam<const OpCase*> {
 protected:
  template <class F>
  void for_each_sample(const F& check) const {
    const OpCase& row = *GetParam();
    for (size_t i = 0; i < row.samples.size(); ++i) {
      SCOPED_TRACE("sample " + std::to_string(i));
      check(row, make_operands(row.samples[i], row.base_dtype(), 7));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
};

TEST_P(OnSecondDevice, J_148_values) {
  const Device fake = fake_device();
  for_each_sample([&](const OpCase& row, const TensorList& x) {
    const TensorList there = row.function(moved(x, fake));
    if (!x.empty()) expect_on(fake, there);
    EXPECT_EQ(text_of(there), text_of(row.function(x)));
  });
}

TEST_P(OnSecondDevice, compiled_values) {
  const Device fake = fake_device();
  for_each_sample([&](const OpCase& row, const TensorList& x) {
    const auto compiled = jit([&](const TensorList& operands) { return row.function(operands); });
    const TensorList there = compiled(moved(x, fake));
    if (!x.empty()) expect_on(fake, there);
    EXPECT_EQ(text_of(there), text_of(compiled(x)));
  });
}

TEST_P(OnSecondDevice, gradients) {
  const Device fake = fake_device();
  for_each_sample([&](const OpCase& row, const TensorList& x) {
    if (!has_gradient(row, x)) return;
    const TensorList there = gradients(row, moved(x, fake));
    expect_on(fake, there);
    EXPECT_EQ(text_of(there), text_of(gradients(row, x)));
  });
}

std::vector<const OpCase*> rows() {
  std::vector<const OpCase*> out;
  for (const OpCase& row : op_table().rows()) out.push_back(&row);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Rows, OnSecondDevice, ::testing::ValuesIn(rows()),
                         [](const auto& info) { return info.param->name; });

}  // namespace
}  // namespace linnet::testing::op_table_device_test
