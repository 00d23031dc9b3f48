// Products and convolutions with an activation inside: the values must be those of the operations
// one after the other, down to the tails where a result is small, and for NaN and infinity.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/ops/activation.h"
#include "core/ops/fused.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "tests/ops/activation_reference.h"

namespace linnet::fused_test {
namespace {

using testing::exact_activation;

constexpr DType kFloats[] = {DType::kF32, DType::kF64, DType::kBF16, DType::kF16};

/// Tails, neighbourhood of zero, subnormal numbers, infinities and NaN, as `dtype` holds them.
std::vector<double> extreme_arguments(DType dtype) {
  std::vector<double> values{0.0, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity()};
  for (const double magnitude :
       {1e-320, 1e-310, 1e-45, 3e-41, 1e-38, 1e-20, 6e-8, 1e-4, 0.01,  0.3,  0.7,  1.0,  2.0,  3.0,
        4.0,    5.0,    5.5,   6.0,   7.5,   9.5,   12.0, 13.5, 14.0,  14.5, 17.0, 30.0, 38.0, 60.0,
        87.0,   89.0,   95.0,  103.,  105.,  300.,  700., 740., 1000., 6e4,  1e20, 3e38, 1e300}) {
    values.push_back(magnitude);
  }
  const size_t count = values.size();
  for (size_t i = 2; i < count; ++i) values.push_back(-values[i]);
  const Tensor rounded = from_vector(values, {static_cast<int64_t>(values.size())}).astype(dtype);
  return rounded.to_vector<double>();
}

/// x [m, k] and w [k, n] whose product has the row `values`, without rounding, m times.
struct Operands {
  Tensor x, w;

  Operands(int64_t m, int64_t k, const std::vector<double>& values, DType dtype) {
    const auto n = static_cast<int64_t>(values.size());
    std::vector<double> rows(static_cast<size_t>(m * k), 0.0), matrix(values);
    for (int64_t i = 0; i < m; ++i) rows[static_cast<size_t>(i * k)] = 1;
    matrix.resize(static_cast<size_t>(k * n), 0.0);
    x = from_vector(rows, {m, k}).astype(dtype);
    w = from_vector(matrix, {k, n}).astype(dtype);
  }
};

/// Equal bit for bit; any NaN equals any other.
void expect_equal_bits(const Tensor& got, const Tensor& wanted, const std::string& what) {
  ASSERT_EQ(got.dtype(), wanted.dtype()) << what;
  ASSERT_EQ(got.shape(), wanted.shape()) << what;
  const auto a = got.to_vector<double>(), b = wanted.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    ASSERT_EQ(std::bit_cast<uint64_t>(a[i]), std::bit_cast<uint64_t>(b[i]))
        << what << ", element " << i << ": " << a[i] << " is not " << b[i];
  }
}

/// Units of the last place of `dtype` near `exact`.
double ulp(DType dtype, long double exact) {
  const int digits = dtype == DType::kF64    ? 53
                     : dtype == DType::kF32  ? 24
                     : dtype == DType::kBF16 ? 8
                                             : 11;
  const int least = dtype == DType::kF64 ? -1022 : dtype == DType::kF16 ? -14 : -126;
  const int exponent = exact == 0 ? least : std::max(least, std::ilogb(exact));
  return std::ldexp(1.0, exponent - digits + 1);
}

std::string name_of_case(ScalarOp op, DType dtype, int64_t m) {
  return std::string(name_of(op)) + " " + std::string(name_of(dtype)) + " m=" + std::to_string(m);
}

// One row, products small enough for B to be read in place, and ones a library computes.
constexpr int64_t kSizes[][2] = {{1, 4}, {3, 4}, {64, 4}, {64, 64}, {200, 300}};

TEST(Fused, a_jitted_dense_layer_gives_the_bits_of_the_eager_one_at_extreme_arguments) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    for (const DType dtype : kFloats) {
      for (const auto& [m, k] : kSizes) {
        const Operands o(m, k, extreme_arguments(dtype), dtype);
        const Tensor bias = zeros({o.w.shape(1)}, dtype);
        const auto f = [&entry](const Tensor& x, const Tensor& w, const Tensor& b) {
          return emit_one(entry.primitive(), {matmul(x, w) + b});
        };
        const auto fused =
            jit([f](const Tensor& x, const Tensor& w, const Tensor& b) { return f(x, w, b); });
        EXPECT_NE(fused.lower(o.x, o.w, bias).optimized_text().find("linear_bias_activation"),
                  std::string::npos);
        expect_equal_bits(fused(o.x, o.w, bias), f(o.x, o.w, bias),
                          name_of_case(entry.op, dtype, m));
      }
    }
  }
}

TEST(Fused, a_residual_after_the_activation_changes_no_bit) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      for (const auto& [m, k] : kSizes) {
        const Operands o(m, k, extreme_arguments(dtype), dtype);
        const Tensor residual = full({m, o.w.shape(1)}, 0.125, dtype);
        const auto f = [&entry](const Tensor& x, const Tensor& w, const Tensor& r) {
          return emit_one(entry.primitive(), {matmul(x, w)}) + r;
        };
        const auto fused =
            jit([f](const Tensor& x, const Tensor& w, const Tensor& r) { return f(x, w, r); });
        expect_equal_bits(fused(o.x, o.w, residual), f(o.x, o.w, residual),
                          name_of_case(entry.op, dtype, m));
      }
    }
  }
}

TEST(Fused, a_jitted_convolution_gives_the_bits_of_the_eager_one_at_extreme_arguments) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const int64_t channels : {1, 16}) {
        // The kernel is one at a single input channel, so the filter values are the results.
        const Operands o(12, channels, extreme_arguments(dtype), dtype);
        const Tensor x = reshape(o.x, {1, 3, 4, channels});
        const Tensor w = reshape(o.w, {1, 1, channels, o.w.shape(1)});
        const Tensor bias = zeros({o.w.shape(1)}, dtype);
        const auto f = [&entry](const Tensor& image, const Tensor& kernel, const Tensor& b) {
          return emit_one(entry.primitive(), {conv_general_dilated(image, kernel) + b});
        };
        const auto fused =
            jit([f](const Tensor& i, const Tensor& k, const Tensor& b) { return f(i, k, b); });
        EXPECT_NE(fused.lower(x, w, bias).optimized_text().find("conv_bias_activation"),
                  std::string::npos);
        expect_equal_bits(fused(x, w, bias), f(x, w, bias),
                          name_of_case(entry.op, dtype, channels));
      }
    }
  }
}

/// Units of the last place each function may be wrong by, near `x`.
double allowed_ulps(ScalarOp op, double x) {
  // The left tail magnifies the rounding of the inner argument, here of the size of 0.07 x^3.
  if (op == ScalarOp::kGeluTanh) return 6 + 2 * std::abs(1.6 * x * (1 + 0.044715 * x * x));
  return 6;
}

TEST(Fused, activations_through_jit_are_relatively_accurate) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    for (const DType dtype : kFloats) {
      std::vector<double> values;
      for (int i = -400; i <= 200; ++i) values.push_back(i * 0.05 + 0.0125);
      values = from_vector(values, {601}).astype(dtype).to_vector<double>();
      for (const auto& [m, k] : {std::pair<int64_t, int64_t>{1, 4}, {64, 64}}) {
        const Operands o(m, k, values, dtype);
        const auto fused = jit([&entry](const Tensor& x, const Tensor& w, const Tensor& b) {
          return emit_one(entry.primitive(), {matmul(x, w) + b});
        });
        const auto got = fused(o.x, o.w, zeros({601}, dtype)).to_vector<double>();
        for (size_t i = 0; i < values.size(); ++i) {
          const long double exact = exact_activation(entry.op, values[i]);
          const double units = size_of(dtype) == 2 ? 1 : allowed_ulps(entry.op, values[i]);
          // A factor of x rounded as a subnormal number is magnified by x.
          const double allowed = units * ulp(dtype, exact) + std::abs(values[i]) * ulp(dtype, 0);
          ASSERT_LE(std::abs(static_cast<double>(got[i] - exact)), allowed)
              << name_of_case(entry.op, dtype, m) << " at " << values[i] << ": " << got[i]
              << " instead of " << static_cast<double>(exact);
        }
      }
    }
  }
}

TEST(Fused, the_printed_program_names_the_activation) {
  const auto f = jit([](const Tensor& x, const Tensor& w, const Tensor& b) {
    return gelu(matmul(x, w) + b, false);
  });
  const std::string text = f.lower(ones({2, 3}), ones({3, 4}), ones({4})).optimized_text();
  EXPECT_NE(text.find("activation=gelu_erf"), std::string::npos) << text;
}

}  // namespace
}  // namespace linnet::fused_test
