// What the double of cuBLASLt computes: products by definition with every layout, type and
// epilogue; late, in the order of the stream, and in graphs.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "cuda/host/cublaslt_request.h"
#include "kernels/cuda/runtime/gpu.h"

namespace linnet::testing::cublaslt_values_test {
namespace {

using Floats = std::vector<float>;

Floats numbers(size_t count, float step) {
  Floats out(count);
  for (size_t i = 0; i < count; ++i) out[i] = std::sin(static_cast<float>(i + 1) * step) * 2;
  return out;
}
std::vector<std::byte> bytes_of(const Floats& values) {
  std::vector<std::byte> out(values.size() * sizeof(float));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}
Floats floats_of(const std::vector<std::byte>& bytes) {
  Floats out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

/// f32 product of small sizes: m, n, k = 3, 4, 5.
struct Small {
  static constexpr size_t kM = 3, kN = 4, kK = 5;
  Request request;
  Data data;

  Small() {
    request.a = {.type = CUDA_R_32F, .rows = kM, .columns = kK, .ld = kM};
    request.b = {.type = CUDA_R_32F, .rows = kK, .columns = kN, .ld = kK};
    request.c = request.d = {.type = CUDA_R_32F, .rows = kM, .columns = kN, .ld = kM};
    data.a = bytes_of(numbers(kM * kK, 0.7f));
    data.b = bytes_of(numbers(kK * kN, 1.1f));
    data.c = bytes_of(numbers(kM * kN, 1.3f));
    data.d = bytes_of(Floats(kM * kN, NAN));
    data.bias = bytes_of(numbers(kM, 0.9f));
  }

  /// op(A)[i, p] and op(B)[p, j] of matrices in the plain layout.
  double a(size_t i, size_t p) const { return floats_of(data.a)[i + p * kM]; }
  double b(size_t p, size_t j) const { return floats_of(data.b)[p + j * kK]; }
  double bias(size_t i) const { return floats_of(data.bias)[i]; }
  double sum(size_t i, size_t j) const {
    double out = 0;
    for (size_t p = 0; p < kK; ++p) out += a(i, p) * b(p, j);
    return out;
  }

  template <class Expected>
  void expect(const Expected& expected, double tolerance = 1e-6) {
    Data result = data;
    const Answer answer = submit(request, &result);
    ASSERT_EQ(answer.status, CUBLAS_STATUS_SUCCESS) << answer.sentence;
    expect_matrix(floats_of(result.d), expected, tolerance);
    after = result;
  }
  template <class Expected>
  static void expect_matrix(const Floats& got, const Expected& expected, double tolerance = 1e-6) {
    for (size_t j = 0; j < kN; ++j) {
      for (size_t i = 0; i < kM; ++i)
        EXPECT_NEAR(got[i + j * kM], expected(i, j), tolerance) << i << ", " << j;
    }
  }
  Data after;
};

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double gelu_slope(double x) { return (gelu(x + 1e-6) - gelu(x - 1e-6)) / 2e-6; }

TEST(CublasLtValues, product_with_scales) {
  Small s;
  s.request.alpha = 0.5;
  s.request.beta = -2;
  const Floats c = floats_of(s.data.c);
  s.expect([&](size_t i, size_t j) {
    return 0.5 * s.sum(i, j) - 2 * static_cast<double>(c[i + j * Small::kM]);
  });
}

TEST(CublasLtValues, transposed_operands_and_wide_leading_dimensions) {
  Small s;
  Floats a(Small::kM * 7, NAN), b(Small::kK * 6, NAN);
  for (size_t p = 0; p < Small::kK; ++p) {
    for (size_t i = 0; i < Small::kM; ++i) a[p + i * 7] = static_cast<float>(s.a(i, p));
    for (size_t j = 0; j < Small::kN; ++j) b[j + p * 6] = static_cast<float>(s.b(p, j));
  }
  Small t;
  t.data.a = bytes_of(a);
  t.data.b = bytes_of(b);
  t.request.transpose_a = t.request.transpose_b = CUBLAS_OP_T;
  t.request.a.rows = Small::kK, t.request.a.columns = Small::kM, t.request.a.ld = 7;
  t.request.b.rows = Small::kN, t.request.b.columns = Small::kK, t.request.b.ld = 6;
  t.expect([&](size_t i, size_t j) { return s.sum(i, j); });
}

TEST(CublasLtValues, result_by_rows) {
  Small s;
  s.request.c.order = s.request.d.order = CUBLASLT_ORDER_ROW;
  s.request.c.ld = s.request.d.ld = Small::kN;
  Data result = s.data;
  ASSERT_EQ(submit(s.request, &result).status, CUBLAS_STATUS_SUCCESS);
  const Floats got = floats_of(result.d);
  for (size_t i = 0; i < Small::kM; ++i) {
    for (size_t j = 0; j < Small::kN; ++j) EXPECT_NEAR(got[i * Small::kN + j], s.sum(i, j), 1e-6);
  }
}

TEST(CublasLtValues, batch_with_a_repeated_operand) {
  Small s;
  s.request.for_all([](Matrix& x) { x.batch = 2; });
  s.request.a.batch_stride = 0;
  s.request.b.batch_stride = Small::kK * Small::kN;
  s.request.c.batch_stride = s.request.d.batch_stride = Small::kM * Small::kN;
  Floats b = floats_of(s.data.b);
  for (size_t i = 0; i < Small::kK * Small::kN; ++i) b.push_back(-3 * b[i]);
  s.data.b = bytes_of(b);
  s.data.d = bytes_of(Floats(2 * Small::kM * Small::kN, NAN));
  s.expect([&](size_t i, size_t j) { return s.sum(i, j); });
  Floats second = floats_of(s.after.d);
  second.erase(second.begin(), second.begin() + Small::kM * Small::kN);
  Small::expect_matrix(
      second, [&](size_t i, size_t j) { return -3 * s.sum(i, j); }, 3e-6);
}

TEST(CublasLtValues, forward_epilogues) {
  struct Row {
    uint32_t epilogue;
    bool bias;
    double (*activation)(double);
  };
  const auto same = [](double x) { return x; };
  const auto relu = [](double x) { return x > 0 ? x : 0; };
  for (const Row& row :
       {Row{CUBLASLT_EPILOGUE_BIAS, true, same}, Row{CUBLASLT_EPILOGUE_RELU, false, relu},
        Row{CUBLASLT_EPILOGUE_RELU_BIAS, true, relu}, Row{CUBLASLT_EPILOGUE_GELU, false, gelu},
        Row{CUBLASLT_EPILOGUE_GELU_BIAS, true, gelu}}) {
    SCOPED_TRACE(row.epilogue);
    Small s;
    s.request.epilogue = row.epilogue;
    s.request.has_bias = row.bias;
    s.expect([&](size_t i, size_t j) {
      return row.activation(s.sum(i, j) + (row.bias ? s.bias(i) : 0));
    });
  }
}

/// Not in the documentation: the library could as well take the larger of NaN and 0.
TEST(CublasLtValues, relu_keeps_nan) {
  Small s;
  s.request.epilogue = CUBLASLT_EPILOGUE_RELU;
  Floats a = numbers(Small::kM * Small::kK, 0.7f);
  a[1] = NAN;
  s.data.a = bytes_of(a);
  Data result = s.data;
  ASSERT_EQ(submit(s.request, &result).status, CUBLAS_STATUS_SUCCESS);
  const Floats got = floats_of(result.d);
  for (size_t j = 0; j < Small::kN; ++j) {
    EXPECT_TRUE(std::isnan(got[1 + j * Small::kM]));
    EXPECT_EQ(got[2 + j * Small::kM], std::max(0.f, static_cast<float>(s.sum(2, j))));
  }
}

/// C is added before the activation, which is why "activation, then residual" cannot be said.
TEST(CublasLtValues, activation_comes_last) {
  Small s;
  s.request.beta = 1;
  s.request.epilogue = CUBLASLT_EPILOGUE_RELU_BIAS;
  s.request.has_bias = true;
  const Floats c = floats_of(s.data.c);
  s.expect([&](size_t i, size_t j) {
    return std::max(0.0, s.sum(i, j) + s.bias(i) + static_cast<double>(c[i + j * Small::kM]));
  });
}

TEST(CublasLtValues, gelu_keeps_its_operand_and_has_a_gradient) {
  Small s;
  s.request.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  s.request.has_bias = s.request.has_auxiliary = true;
  s.request.auxiliary_ld = 8;
  s.data.auxiliary = bytes_of(Floats(8 * Small::kN, 0));
  s.expect([&](size_t i, size_t j) { return gelu(s.sum(i, j) + s.bias(i)); });
  const Floats kept = floats_of(s.after.auxiliary);
  EXPECT_NEAR(kept[2 + 3 * 8], s.sum(2, 3) + s.bias(2), 1e-6);

  Small back;
  back.request.epilogue = CUBLASLT_EPILOGUE_DGELU_BGRAD;
  back.request.has_bias = back.request.has_auxiliary = true;
  back.request.auxiliary_ld = 8;
  back.data.auxiliary = s.after.auxiliary;
  const auto slope = [&](size_t i, size_t j) {
    return s.sum(i, j) * gelu_slope(static_cast<double>(kept[i + j * 8]));
  };
  back.expect(slope, 1e-5);
  const Floats bias_gradient = floats_of(back.after.bias);
  for (size_t i = 0; i < Small::kM; ++i)
    EXPECT_NEAR(bias_gradient[i], slope(i, 0) + slope(i, 1) + slope(i, 2) + slope(i, 3), 1e-5);
}

TEST(CublasLtValues, relu_keeps_a_mask_and_has_a_gradient) {
  Small s;
  s.request.epilogue = CUBLASLT_EPILOGUE_RELU_AUX;
  s.request.has_auxiliary = true;
  s.request.auxiliary_ld = 128;
  s.data.auxiliary = std::vector<std::byte>(16 * Small::kN);
  s.expect([&](size_t i, size_t j) { return std::max(0.0, s.sum(i, j)); });

  Small back;
  back.request.epilogue = CUBLASLT_EPILOGUE_DRELU_BGRAD;
  back.request.has_auxiliary = back.request.has_bias = true;
  back.request.auxiliary_ld = 128;
  back.data.auxiliary = s.after.auxiliary;
  back.data.b = bytes_of(numbers(Small::kK * Small::kN, 0.3f));
  const auto gradient = [&](size_t i, size_t j) { return s.sum(i, j) > 0 ? back.sum(i, j) : 0; };
  back.expect(gradient);
  EXPECT_NEAR(floats_of(back.after.bias)[1],
              gradient(1, 0) + gradient(1, 1) + gradient(1, 2) + gradient(1, 3), 1e-5);
}

TEST(CublasLtValues, sums_of_the_operands) {
  Small s;
  s.request.epilogue = CUBLASLT_EPILOGUE_BGRADB;
  s.request.has_bias = true;
  s.data.bias = bytes_of(Floats(Small::kN, NAN));
  const Small fresh;
  s.expect([&](size_t i, size_t j) { return s.sum(i, j); });
  for (size_t j = 0; j < Small::kN; ++j) {
    double sum = 0;
    for (size_t p = 0; p < Small::kK; ++p) sum += s.b(p, j);
    EXPECT_NEAR(floats_of(s.after.bias)[j], sum, 1e-6);
  }
  s.request.epilogue = CUBLASLT_EPILOGUE_BGRADA;
  s.expect([&](size_t i, size_t j) { return s.sum(i, j); });
  double sum = 0;
  for (size_t p = 0; p < Small::kK; ++p) sum += s.a(1, p);
  EXPECT_NEAR(floats_of(s.after.bias)[1], sum, 1e-6);
}

/// 1 + 2^-12 is 1 in TF32.
TEST(CublasLtValues, operands_are_rounded_to_tf32_where_that_is_allowed) {
  for (const bool fast : {false, true}) {
    Small s;
    if (fast) s.request.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
    s.data.a = bytes_of(Floats(Small::kM * Small::kK, 1 + 0x1p-12f));
    s.data.b = bytes_of(Floats(Small::kK * Small::kN, 1));
    s.expect([&](size_t, size_t) { return fast ? 5.0 : 5.0 * (1 + 0x1p-12); }, 1e-6);
  }
}

/// 16 bits: ties to even, subnormal numbers, overflow.
TEST(CublasLtValues, results_are_rounded_once) {
  const auto product = [](cudaDataType type, uint16_t a, uint16_t b) {
    Request r;
    r.set_type(type);
    r.a.rows = r.a.columns = r.a.ld = r.b.rows = r.b.columns = r.b.ld = 1;
    r.c.rows = r.c.columns = r.c.ld = r.d.rows = r.d.columns = r.d.ld = 1;
    Data data;
    const auto bytes = [](uint16_t bits) {
      return std::vector{std::byte{static_cast<uint8_t>(bits)},
                         std::byte{static_cast<uint8_t>(bits >> 8)}};
    };
    data.a = bytes(a), data.b = bytes(b), data.d = bytes(0);
    EXPECT_EQ(submit(r, &data).status, CUBLAS_STATUS_SUCCESS);
    return static_cast<int>(data.d[0]) | static_cast<int>(data.d[1]) << 8;
  };
  // bf16: (1 + 2^-7)^2 = 1 + 2^-6 + 2^-14, down; (1 + 2^-7)(1 + 2^-1) = 1.5 + 1.5 * 2^-7, a tie, to
  // even.
  EXPECT_EQ(product(CUDA_R_16BF, 0x3F81, 0x3F81), 0x3F82);
  EXPECT_EQ(product(CUDA_R_16BF, 0x3F81, 0x3FC0), 0x3FC2);
  EXPECT_EQ(product(CUDA_R_16BF, 0x7F7F, 0x4000), 0x7F80);
  EXPECT_EQ(product(CUDA_R_16BF, 0x7F80, 0x0000) & 0x7FFF, 0x7FFF);
  // f16: 65504 * 2 overflows; the smallest normal number halved is subnormal.
  EXPECT_EQ(product(CUDA_R_16F, 0x7BFF, 0x4000), 0x7C00);
  EXPECT_EQ(product(CUDA_R_16F, 0x0400, 0x3800), 0x0200);
  EXPECT_EQ(product(CUDA_R_16F, 0x3C01, 0x3E00), 0x3E02);
}

TEST(CublasLtValues, fp8_with_factors) {
  Request r;
  r.a = {.type = CUDA_R_8F_E4M3, .rows = 16, .columns = 16, .ld = 16};
  r.b = {.type = CUDA_R_8F_E5M2, .rows = 16, .columns = 16, .ld = 16};
  r.c = r.d = {.type = CUDA_R_32F, .rows = 16, .columns = 16, .ld = 16};
  r.transpose_a = CUBLAS_OP_T;
  Data data;
  data.a = std::vector(256, std::byte{0x3C});  // 1.5
  data.b = std::vector(256, std::byte{0x41});  // 2.5
  data.d = bytes_of(Floats(256, NAN));
  ASSERT_EQ(submit(r, &data).status, CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(floats_of(data.d), Floats(256, 16 * 1.5f * 2.5f));
  r.has_scales = true;
  Floats scales(128, NAN);
  scales[0] = 0.5f, scales[64] = 4.f;  // of A and of B
  data.scales = bytes_of(scales);
  ASSERT_EQ(submit(r, &data).status, CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(floats_of(data.d), Floats(256, 16 * 1.5f * 0.5f * 2.5f * 4.f));
}

}  // namespace
}  // namespace linnet::testing::cublaslt_values_test
