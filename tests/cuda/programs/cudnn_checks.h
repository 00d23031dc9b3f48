// What tests of cuDNN's operations on the device share: which implementation was chosen, and values
// against the CPU's.
#pragma once

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/deterministic.h"
#include "linnet/log.h"
#include "linnet/precision.h"
#include "ops/op_checks.h"

namespace linnet::testing {

inline constexpr Device kGpu{DeviceType::kCuda, 0};

/// The choices of kernels while it lives, one line each.
class Choices {
 public:
  Choices() {
    set_log_topics("kernels");
    set_log_sink(
        [this](std::string_view, std::string_view text) { text_ += std::string(text) + "\n"; });
  }
  ~Choices() {
    set_log_sink({});
    set_log_topics("");
  }
  /// How often `implementation` was chosen for `primitive`; any implementation if it is empty.
  size_t count(const std::string& primitive, const std::string& implementation) const {
    size_t found = 0;
    for (size_t at = 0, end; (end = text_.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::string line = text_.substr(at, end - at);
      found += line.starts_with(primitive + "(") &&
               line.find("}: " + implementation) != std::string::npos;
    }
    return found;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

inline Tensor numbers(const Shape& shape, DType dtype = DType::kF32, float step = 0.37f) {
  const Tensor x = astype(iota(DType::kI32, {element_count(shape)}), DType::kF32);
  return astype(reshape(sin((x + 1.f) * step), shape), dtype);
}

inline TensorList moved(const TensorList& x, Device device) {
  TensorList out;
  for (const Tensor& t : x) out.push_back(t.to(device));
  return out;
}

using Function = std::function<TensorList(const TensorList&)>;

class Cudnn : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GT(device_count(DeviceType::kCuda), 0);
    set_matmul_precision(Precision::kHighest);
  }
  void TearDown() override {
    set_matmul_precision(Precision::kDefault);
    set_deterministic(false);
  }

  static void expect_equal(const TensorList& there, const TensorList& here, DType dtype,
                           double scale) {
    ASSERT_EQ(there.size(), here.size());
    for (const Tensor& t : there) EXPECT_EQ(t.device(), kGpu);
    const std::string text =
        difference(moved(there, kCpu), here, tolerance_in(dtype, scale * 4e-15));
    EXPECT_TRUE(text.empty()) << text;
  }

  /// The CPU's results, and that the library computed every operation named `primitive`.
  static void expect_same_by_library(const char* primitive, const Function& f, const TensorList& x,
                                     double scale = 8) {
    Choices choices;
    const TensorList there = f(moved(x, kGpu));
    EXPECT_GT(choices.count(primitive, "cudnn"), 0u) << choices.text();
    EXPECT_EQ(choices.count(primitive, ""), choices.count(primitive, "cudnn")) << choices.text();
    expect_equal(there, f(x), x[0].dtype(), scale);
  }

  static void expect_declined(const Function& f, const TensorList& x, const std::string& reason) {
    Choices choices;
    const TensorList there = f(moved(x, kGpu));
    EXPECT_NE(choices.text().find(reason), std::string::npos) << choices.text();
    expect_equal(there, f(x), x[0].dtype(), 8);
  }
};

}  // namespace linnet::testing
