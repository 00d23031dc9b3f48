// Checks shared by the tests of elementwise operations.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::testing {

/// Elements, dtype and shape; `tolerance` is relative to max(1, |expected|), 0 means equal (NaN
/// equals NaN).
inline void expect_tensor(const Tensor& y, const TensorType& type,
                          const std::vector<double>& expected, double tolerance = 0) {
  EXPECT_EQ(to_string(y.type()), to_string(type));
  const std::vector<double> values = y.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(values[i])) << "element " << i << " is " << values[i];
    } else if (tolerance == 0 || std::isinf(expected[i])) {
      EXPECT_EQ(values[i], expected[i]) << "element " << i;
    } else {
      EXPECT_NEAR(values[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i])))
          << "element " << i;
    }
  }
}

inline void expect_close(const Tensor& y, const std::vector<double>& expected, double tolerance) {
  expect_tensor(y, y.type(), expected, tolerance);
}

/// `f` throws E with `part` somewhere in the text.
template <class E>
void expect_error(const std::function<void()>& f, const std::string& part) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected: " << part;
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

using Function = std::function<Tensor(const Tensor&)>;

/// The gradient of sum(f), which for an elementwise f is its derivative at each element.
inline Tensor derivative(const Function& f, const Tensor& x) {
  return grad([&](const Tensor& z) { return sum(f(z)); })(x);
}

/// Reverse and forward mode of an elementwise f agree with each other, with central differences and
/// under vmap and jit, at first and second order. Points are taken in f64.
inline void check_derivatives(const Function& f, const std::vector<double>& points,
                              double tolerance = 1e-7, bool second_order = true) {
  const Tensor x = from_vector(points, {static_cast<int64_t>(points.size())});
  const double step = 1e-5;
  const auto differences = [&](const Function& g) {
    const Tensor h = scalar(step, DType::kF64);
    return ((g(x + h) - g(x - h)) / scalar(2 * step, DType::kF64)).to_vector<double>();
  };
  const auto forward = [&](const Function& g) { return jvp(g, x, ones_like(x)).second; };

  const Tensor first = derivative(f, x);
  ASSERT_EQ(first.dtype(), DType::kF64);
  const std::vector<double> first_values = first.to_vector<double>();
  expect_close(first, differences(f), tolerance);
  expect_close(forward(f), first_values, 1e-12);
  const Tensor rows = vmap([&](const Tensor& z) { return derivative(f, z); })(stack({x, x}));
  expect_close(index_axis(rows, 0, 0), first_values, 1e-12);
  expect_close(index_axis(rows, 1, 0), first_values, 1e-12);
  expect_close(jit(f)(x), f(x).to_vector<double>(), 1e-13);
  expect_close(jit([&](const Tensor& z) { return derivative(f, z); })(x), first_values, 1e-12);
  if (!second_order) return;

  const Function slope = [&](const Tensor& z) { return derivative(f, z); };
  const Tensor second = derivative(slope, x);
  const std::vector<double> second_values = second.to_vector<double>();
  expect_close(second, differences(slope), tolerance);
  expect_close(forward(slope), second_values, 1e-11);
}

}  // namespace linnet::testing
