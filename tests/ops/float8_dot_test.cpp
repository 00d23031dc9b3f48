// Products of eight-bit numbers: values against f64, bounds of the rounding, gradients, batches,
// and which products layers make.
#include "linnet/float8_dot.h"

#include <array>

#include "tests/ops/elementwise_support.h"

namespace linnet::float8_dot_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

constexpr Float8 kE4M3 = Float8::kE4M3, kE5M2 = Float8::kE5M2;

Tensor numbers(const Shape& shape, double step, DType dtype = DType::kF32) {
  const Tensor x = astype(iota(DType::kI32, {element_count(shape)}), DType::kF64);
  return astype(reshape(sin((x + 1.) * step) * 3., shape), dtype);
}

/// The numbers that a quantised tensor stands for, in f64.
Tensor meant(const ScaledFloat8& x) {
  return from_float8(x.bits, x.format, DType::kF64) * astype(x.scale, DType::kF64);
}

/// Elements differ by at most `bound`, element by element; NaN does not pass.
void expect_within(const Tensor& got, const Tensor& wanted, const Tensor& bound) {
  ASSERT_EQ(to_string(got.shape()), to_string(wanted.shape()));
  const auto a = got.to_vector<double>(), b = wanted.to_vector<double>(),
             most = broadcast_to(bound, got.shape()).to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(std::abs(a[i] - b[i]) <= most[i])
        << "element " << i << ": " << a[i] << ", expected " << b[i] << " within " << most[i];
}

/// lhs [b, m, k] and rhs [b, n, k].
Tensor by_f64(const Tensor& lhs, const Tensor& rhs) {
  return einsum("bmk,bnk->bmn", {astype(lhs, DType::kF64), astype(rhs, DType::kF64)});
}

TEST(ScaledDot, is_the_product_of_the_numbers_meant) {
  const std::pair<Float8, Float8> formats[] = {{kE4M3, kE4M3}, {kE4M3, kE5M2}, {kE5M2, kE4M3}};
  const std::array<int64_t, 4> sizes[] = {
      {2, 3, 5, 7}, {1, 16, 32, 48}, {3, 1, 1, 1}, {1, 2, 3, 0}};
  for (const auto& [lhs_format, rhs_format] : formats) {
    for (const auto& [b, m, n, k] : sizes) {
      const ScaledFloat8 lhs = quantize_float8(numbers({b, m, k}, 0.7), lhs_format),
                         rhs = quantize_float8(numbers({b, n, k}, 0.3) * 1e-3f, rhs_format);
      const Tensor wanted = by_f64(meant(lhs), meant(rhs));
      const Tensor sizes_of_sums = by_f64(abs(meant(lhs)), abs(meant(rhs)));
      for (const auto& [dtype, eps] :
           {std::pair{DType::kF32, 0x1p-21}, std::pair{DType::kBF16, 0x1p-8},
            std::pair{DType::kF16, 0x1p-11}}) {
        const auto product = [&, dtype = dtype](const Tensor& x, const Tensor& s) {
          return scaled_dot({x, s, lhs.format}, rhs, dtype);
        };
        const Tensor y = product(lhs.bits, lhs.scale);
        EXPECT_EQ(y.dtype(), dtype);
        // Subnormal numbers of f16 are 2^-24 apart.
        expect_within(y, wanted, sizes_of_sums * 0x1p-21 + abs(wanted) * eps + 0x1p-24);
        expect_within(jit(product)(lhs.bits, lhs.scale), y, abs(wanted) * eps + 1e-30);
      }
    }
  }
}

TEST(ScaledDot, is_linear_in_each_scale) {
  const ScaledFloat8 lhs = quantize_float8(numbers({3, 4}, 0.7)),
                     rhs = quantize_float8(numbers({2, 4}, 0.3));
  const auto f = [&](const Tensor& s) {
    return sum(scaled_dot({lhs.bits, s * 2.f}, {rhs.bits, s * s, rhs.format}));
  };
  const Tensor s(0.5f);  // f is a cube
  EXPECT_NEAR(grad(f)(s).item<float>(), 3 * f(s).item<float>() / 0.5f, 1e-3);
}

TEST(ScaledDot, errors) {
  const ScaledFloat8 x = quantize_float8(ones({2, 4})), wide = quantize_float8(ones({2, 4}), kE5M2);
  expect_error<DTypeError>([&] { scaled_dot(wide, wide); },
                           "scaled_dot: no device multiplies F8_E5M2 by F8_E5M2");
  expect_error<DTypeError>(
      [&] {
        scaled_dot({ones({2, 4}), x.scale}, x);
      },
      "expected bits of eight-bit numbers in u8, got f32[2,4] and u8[2,4]");
  expect_error<DTypeError>([&] { scaled_dot(x, x, DType::kF64); },
                           "expected a result of f32, f16 or bf16, got f64");
  for (const Shape& shape : {Shape{2, 5}, Shape{4}, Shape{1, 2, 4}})
    expect_error<ShapeError>([&] { scaled_dot(x, quantize_float8(ones(shape))); },
                             "expected [batch..., m, k] and [batch..., n, k], got u8[2,4]");
  expect_error<ShapeError>(
      [&] {
        scaled_dot(x, {x.bits, ones({1})});
      },
      "expected a scale f32[], got f32[1]");
  expect_error<DTypeError>([] { quantize_float8(zeros({2}, DType::kI32)); },
                           "quantize_float8: expected a floating type, got i32[2]");
  expect_error<DTypeError>([] { float8_dot_general(ones({2}), ones({2}, DType::kI32), {}); },
                           "float8_dot_general: expected floating operands, got f32[2] and i32[2]");
}

TEST(QuantizeFloat8, rounds_to_a_part_of_the_number_or_of_the_scale) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Tensor x = numbers({41}, 0.37, dtype) * exp(numbers({41}, 0.9, dtype) * 3.);
    const Tensor wide = astype(x, DType::kF64);
    const double largest = max(abs(wide)).item<double>();
    const ScaledFloat8 small = quantize_float8(x), wide_range = quantize_float8(x, kE5M2);
    expect_within(meant(small), wide,
                  maximum(abs(wide) * 0x1p-4, Tensor(largest / 448 * 0x1p-10)) * (1 + 1e-6));
    expect_within(meant(wide_range), wide,
                  maximum(abs(wide) * 0x1p-3, Tensor(largest / 57344 * 0x1p-17)) * (1 + 1e-6));
    EXPECT_NEAR(max(abs(meant(small))).item<double>(), largest, 1e-6 * largest);
  }
}

TEST(QuantizeFloat8, scales_of_unusual_tensors) {
  const ScaledFloat8 zero = quantize_float8(zeros({3}));
  EXPECT_EQ(zero.scale.item<float>(), 1.f);
  expect_tensor(meant(zero), {DType::kF64, {3}}, {0, 0, 0});
  EXPECT_EQ(quantize_float8(zeros({0, 4})).scale.item<float>(), 1.f);
  expect_tensor(meant(quantize_float8(tensor({1e-42f, 0.f}))), {DType::kF64, {2}}, {0, 0}, 1e-37);
  const ScaledFloat8 huge = quantize_float8(tensor({3e38f, -1.f}));
  EXPECT_NEAR(meant(huge).to_vector<double>()[0], 3e38, 3e32);
  // Nothing that is computed with such a tensor looks like a number.
  for (const float odd : {INFINITY, -INFINITY, NAN}) {
    const Tensor y = scaled_dot(quantize_float8(tensor({{odd, 1.f}, {2.f, 3.f}})),
                                quantize_float8(ones({1, 2})));
    for (const float value : y.to_vector<float>()) EXPECT_FALSE(std::isfinite(value)) << odd;
  }
}

struct Contraction {
  Shape lhs, rhs;
  DotDims dims;
};
const Contraction kContractions[] = {
    {{2, 3, 8}, {8, 5}, {.lhs_contract = {2}, .rhs_contract = {0}}},
    {{16, 32}, {32, 48}, {.lhs_contract = {1}, .rhs_contract = {0}}},
    {{4, 3, 2}, {5, 2, 4}, {.lhs_contract = {0, 2}, .rhs_contract = {2, 1}}},
    {{2, 5, 3, 4},
     {3, 6, 2, 4},
     {.lhs_contract = {3}, .rhs_contract = {3}, .lhs_batch = {0, 2}, .rhs_batch = {2, 0}}},
    {{7}, {7}, {.lhs_contract = {0}, .rhs_contract = {0}}},
};

/// The value and the cotangents that belong to `ct`.
using Contract = std::function<Tensor(const Tensor&, const Tensor&)>;
TensorList value_and_cotangents(const Contract& f, const Tensor& a, const Tensor& b,
                                const Tensor& ct) {
  const auto [y, pullback] = vjp(f, a, b);
  const auto [da, db] = pullback(ct);
  return {y, da, db};
}

TEST(Float8DotGeneral, value_and_gradients_are_those_of_the_rounded_numbers) {
  for (const Contraction& c : kContractions) {
    for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
      SCOPED_TRACE(to_string(c.lhs) + to_string(c.rhs) + std::string(name_of(dtype)));
      const Tensor a = numbers(c.lhs, 0.7, dtype), b = numbers(c.rhs, 0.4, dtype);
      const Contract eight = [&](const Tensor& x, const Tensor& y) {
        return float8_dot_general(x, y, c.dims);
      };
      const Contract plain = [&](const Tensor& x, const Tensor& y) {
        return dot_general(x, y, c.dims);
      };
      const Tensor ct = numbers(eval_shape(plain, a, b).shape(), 0.9, dtype) * 1e-6;
      const TensorList got = value_and_cotangents(eight, a, b, ct);
      const TensorList wanted =
          value_and_cotangents(plain, meant(quantize_float8(a)), meant(quantize_float8(b)),
                               meant(quantize_float8(ct, kE5M2)));
      const TensorList compiled = jit([&](const TensorList& x) {
        return value_and_cotangents(eight, x[0], x[1], x[2]);
      })(TensorList{a, b, ct});
      const double eps = dtype == DType::kBF16 ? 0x1p-8 : 0x1p-20;
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].dtype(), dtype);
        const Tensor most = max(abs(wanted[i])) * eps;
        expect_within(got[i], wanted[i], most);
        expect_within(compiled[i], got[i], most);
      }
      // Each operand is off by a sixteenth of itself at most.
      const Tensor sums = plain(abs(astype(a, DType::kF64)), abs(astype(b, DType::kF64)));
      expect_within(got[0], plain(astype(a, DType::kF64), astype(b, DType::kF64)), sums * 0.14);
    }
  }
}

TEST(Float8DotGeneral, each_element_of_a_batch_has_a_scale_of_its_own) {
  const Tensor a = numbers({3, 4, 6}, 0.7) * exp(reshape(arange(3.), {3, 1, 1}) * 5.f),
               b = numbers({3, 6, 5}, 0.4), w = numbers({6, 5}, 0.3);
  const Contract f = [](const Tensor& x, const Tensor& y) {
    return float8_dot_general(x, y, {.lhs_contract = {1}, .rhs_contract = {0}});
  };
  const auto cotangents = [&](const Tensor& x, const Tensor& y) {
    return value_and_cotangents(f, x, y, ones({4, 5}));
  };
  const TensorList both = vmap(cotangents)(a, b),
                   left = vmap(cotangents, {.in_axes = {0, std::nullopt}})(a, w),
                   right = vmap(cotangents, {.in_axes = {std::nullopt, 0}})(a[0], b);
  for (int64_t i = 0; i < 3; ++i) {
    const TensorList wanted[] = {cotangents(a[i], b[i]), cotangents(a[i], w),
                                 cotangents(a[0], b[i])};
    for (size_t part = 0; part < 3; ++part) {
      size_t which = 0;
      for (const TensorList* got : {&both, &left, &right}) {
        const Tensor& alone = wanted[which++][part];
        expect_within((*got)[part][i], alone, max(abs(alone)) * 1e-6f);
      }
    }
  }
}

TEST(Float8DotGeneral, derivatives_that_it_has_not_are_errors) {
  using Function = std::function<Tensor(const Tensor&)>;
  const Tensor x = numbers({4, 4}, 0.7), direction = ones({4, 4});
  const Function f = [&](const Tensor& a) {
    return sum(float8_dot_general(a, a, {.lhs_contract = {1}, .rhs_contract = {0}}));
  };
  const Function slope = [&](const Tensor& a) { return sum(grad(f)(a)); };
  const Function compiled = jit([&](const Tensor& a) { return slope(a); });
  const Function bits = [&](const Tensor& a) {
    return sum(scaled_dot(quantize_float8(a), quantize_float8(x)));
  };
  for (const Function& twice : {slope, compiled, bits}) {
    const std::string text = "quantize_float8: rounding to eight bits has no derivative";
    expect_error<TraceError>([&] { grad(twice)(x); }, text);
    expect_error<TraceError>([&] { jvp(twice, std::tuple(x), std::tuple(direction)); }, text);
  }
  EXPECT_THROW(jvp(f, std::tuple(x), std::tuple(direction)), TraceError);
}

TEST(Float8DotGeneral, empty_operands_and_other_sizes) {
  const DotDims dims{.lhs_contract = {1}, .rhs_contract = {0}};
  expect_tensor(float8_dot_general(ones({2, 0}), ones({0, 3}), dims), {DType::kF32, {2, 3}},
                std::vector<double>(6, 0));
  expect_error<ShapeError>(
      [&] {
        float8_dot_general(ones({2, 3}), ones({4, 2}), dims);
      },
      "contracted sizes differ");
}

TEST(LayerProducts, belong_to_a_scope_and_to_the_programs_traced_in_it) {
  int traces = 0;
  const auto f = jit([&](const Tensor& x) {
    ++traces;
    return x + (layer_products() == Products::kFloat8 ? 1.f : 0.f);
  });
  const auto value = [&] { return f(zeros({})).item<float>(); };
  EXPECT_EQ(value(), 0.f);
  {
    const ScopedProducts eight(Products::kFloat8);
    EXPECT_EQ(value(), 1.f);
    {
      const ScopedProducts plain(Products::kPlain);
      EXPECT_EQ(value(), 0.f);
    }
    EXPECT_EQ(value(), 1.f);
  }
  EXPECT_EQ(value(), 0.f);
  EXPECT_EQ(traces, 2);
  EXPECT_EQ(name_of(layer_products()), "plain");
}

}  // namespace
}  // namespace linnet::float8_dot_test
