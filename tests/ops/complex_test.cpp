// Complex numbers and discrete Fourier transforms against jax.numpy (golden/complex.safetensors):
// values, cotangents in JAX's convention, and all transformations by way of real and imaginary
// parts in c128.
#include "linnet/complex.h"

#include <complex>

#include "linnet/fft.h"
#include "linnet/linalg.h"
#include "linnet/numpy.h"
#include "linnet/numpy_functions.h"
#include "linnet/numpy_statistics.h"
#include "linnet/random.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::complex_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_golden;
using testing::GoldenFile;

using C64 = std::complex<float>;
using C128 = std::complex<double>;
using In = const TensorList&;

struct Row {
  std::string name;
  std::function<Tensor(In)> f;
  double tolerance = 4e-6;
};

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);
Row one(const char* name, Unary f) {
  return {name, [f](In x) { return f(x[0]); }};
}
Row two(const char* name, Binary f) {
  return {name, [f](In x) { return f(x[0], x[1]); }};
}

TensorList tensors(const GoldenFile& golden, const std::string& prefix) {
  TensorList out;
  while (golden.contains(prefix + std::to_string(out.size())))
    out.push_back(golden.tensor(prefix + std::to_string(out.size())));
  return out;
}

/// Every case of the row: its value, eagerly and compiled, and the cotangents of its operands.
void expect_cases(const std::vector<Row>& rows) {
  const GoldenFile golden("complex");
  for (const Row& row : rows) {
    const bool whole = row.name.find('/') != std::string::npos;
    int calls = 0;
    for (;; ++calls) {
      const std::string prefix = whole ? row.name : row.name + "/" + std::to_string(calls);
      const TensorList in = tensors(golden, prefix + "/in/");
      if (in.empty() || (whole && calls > 0)) break;
      const auto [y, pullback] = vjp(row.f, in);
      expect_golden(y, golden.tensor(prefix + "/out/0"), row.tolerance, prefix);
      expect_golden(jit(row.f)(in), y, 1e-6, prefix + ", compiled");
      const TensorList cts = tensors(golden, prefix + "/vjp/");
      if (cts.empty()) continue;
      const TensorList got = pullback(golden.tensor(prefix + "/ct/0"));
      for (size_t i = 0; i < cts.size(); ++i)
        expect_golden(got[i], cts[i], 4 * row.tolerance, prefix + ", cotangent");
    }
    EXPECT_GT(calls, 0) << row.name;
  }
}

std::vector<Row> functions() {
  return {one("neg", neg),
          one("square", square),
          one("reciprocal", reciprocal),
          one("sqrt", sqrt),
          one("rsqrt", rsqrt),
          one("exp", exp),
          one("exp2", exp2),
          one("expm1", expm1),
          one("log", log),
          one("log2", log2),
          one("log1p", log1p),
          one("sin", sin),
          one("cos", cos),
          one("tan", tan),
          one("asin", asin),
          one("acos", acos),
          one("atan", atan),
          one("sinh", sinh),
          one("cosh", cosh),
          one("tanh", tanh),
          one("asinh", asinh),
          one("acosh", acosh),
          one("atanh", atanh),
          one("sigmoid", sigmoid),
          one("abs", abs),
          one("real", real),
          one("imag", imag),
          one("conj", conj),
          one("angle", angle),
          one("sign", sign),
          {"cube", [](In x) { return pow(x[0], 3); }},
          {"inverse_square", [](In x) { return pow(x[0], -2); }},
          {"sum", [](In x) { return sum(x[0]); }},
          {"mean", [](In x) { return mean(x[0]); }},
          {"prod", [](In x) { return prod(x[0]); }},
          {"var", [](In x) { return var(x[0]); }},
          {"cumsum", [](In x) { return cumsum(x[0], 0); }},
          two("add", add),
          two("sub", sub),
          two("mul", mul),
          two("div", div),
          two("pow", pow)};
}

TEST(Complex, J_001_J_032_functions_and_their_cotangents) {
  expect_cases(functions());
  expect_cases({two("complex", complex),
                two("matmul", matmul),
                one("real_of_real", real),
                {"take",
                 [](In x) {
                   return take(x[0], tensor({0, 2, 2, 5}), 0);
                 }},
                {"pad",
                 [](In x) {
                   return pad(x[0], {{.low = 1, .high = 2}, {.high = 1}});
                 }},
                {"where",
                 [](In x) {
                   return where(tensor({true, false, true}), x[0], x[1]);
                 }},
                {"concatenate",
                 [](In x) {
                   return concatenate({x[0], x[1]}, 1);
                 }},
                {"transpose",
                 [](In x) {
                   return transpose(x[0], {2, 0, 1});
                 }},
                {"energy", [](In x) { return sum(square(abs(exp(x[0]) * conj(x[0])))); }}});
}

TEST(Complex, J_001_J_023_functions_that_conjugate_or_take_sizes) {
  const auto full = [](const Tensor& a, const Tensor& v) {
    return correlate(a, v, ConvolveMode::kFull);
  };
  expect_cases(
      {two("vdot", vdot),
       two("inner", inner),
       {"vecdot", [](In x) { return vecdot(x[0], x[1]); }},
       two("vecmat", vecmat),
       {"einsum",
        [](In x) {
          return einsum("ij,kj->ik", {x[0], x[1]});
        }},
       {"convolve", [](In x) { return convolve(x[0], x[1]); }},
       {"correlate", [&](In x) { return full(x[0], x[1]); }},
       {"cov", [](In x) { return cov(x[0]); }},
       {"corrcoef", [](In x) { return corrcoef(x[0]); }},
       {"average", [](In x) { return average(x[0], x[1]); }},
       {"nanvar", [](In x) { return nanvar(x[0]); }},
       {"nansum", [](In x) { return nansum(x[0]); }},
       {"masked_var", [](In x) { return var(x[0], ReduceOptions{.where = arange(6) % 3 > 0}); }},
       {"sinc", [](In x) { return sinc(x[0]); }},
       two("polyval", polyval),
       {"ramp",
        [](In x) {
          return pad(x[0], {{3, 2}}, PadMode::kLinearRamp);
        }},
       {"norms",
        [](In x) {
          return global_norm({x[0], x[1]});
        }},
       one("silu", silu),
       one("soft_sign", soft_sign)});
  const Tensor z = tensor({C64(1, 2), C64(0, NAN), C64(3, 0)});
  EXPECT_EQ(isclose(z, z + C64(0, 1e-6f)).to_vector<bool>(),
            (std::vector<bool>{true, false, true}));
  EXPECT_TRUE(allclose(z, z, 1e-5, 1e-8, true).item<bool>());
  EXPECT_FALSE(array_equal(z, conj(z)).item<bool>());
  EXPECT_EQ(count_nonzero(tensor({C64(0, 1), C64(0, 0)})).item<int>(), 1);
  EXPECT_EQ(any(tensor({C64(0, 1), C64(0, 0)})).item<bool>(), true);
  EXPECT_EQ(abs_squared(z)[0].item<float>(), 5);
  const Tensor sides = tensor({C64(3, 4), C64(0, 12), C64(0, 0)});
  for (const auto& [order, size] :
       {std::pair(2.0, 13.0), {1.0, 17.0}, {0.0, 2.0}, {HUGE_VAL, 12.0}, {-HUGE_VAL, 0.0}})
    EXPECT_EQ(linalg::vector_norm(sides, order).item<double>(), size) << order;
}

TEST(Complex, J_001_strided_operands_are_those_of_dense_copies) {
  // Every function of one or two operands on turned, reversed and stepped views.
  const Tensor whole = complex(distinct({6, 5}, 0.11) + 0.4, distinct({6, 5}, 0.13) - 0.3);
  const TensorList views{transpose(whole), flip(whole, {0}), slice(whole, {0, 1}, {6, 5}, {2, 2}),
                         broadcast_to(slice(whole, {0, 0}, {1, 5}), {4, 5})};
  for (const Row& row : functions()) {
    for (const Tensor& view : views) {
      const TensorList dense{view.contiguous(), flip(view, {1}).contiguous()};
      // Sums are taken in another order.
      expect_golden(row.f({view, flip(view, {1})}), row.f(dense), 1e-13, row.name);
    }
  }
  for (const Tensor& view : views) {
    EXPECT_EQ(to_string(fft::fft2(view)), to_string(fft::fft2(view.contiguous())));
    EXPECT_EQ(to_string(fft::irfft(view)), to_string(fft::irfft(view.contiguous())));
    EXPECT_EQ(to_string(fft::rfft(real(view), {}, 0)),
              to_string(fft::rfft(real(view).contiguous(), {}, 0)));
  }
}

/// A function of complex tensors as one of real ones: the parts of the operands first.
void expect_transforms(const std::function<Tensor(In)>& f, const std::vector<Shape>& shapes,
                       const std::string& what) {
  SCOPED_TRACE(what);
  TensorList in;
  for (const Shape& shape : shapes) {
    in.push_back(distinct(shape, 0.11) + 0.4);
    in.push_back(distinct(shape, 0.13) - 0.3);
  }
  check_transforms(
      [&](In x) {
        TensorList z;
        for (size_t i = 0; i < x.size(); i += 2) z.push_back(complex(x[i], x[i + 1]));
        const Tensor y = f(z);
        return stack(is_complex(y.dtype()) ? TensorList{real(y), imag(y)} : TensorList{y});
      },
      in);
}

TEST(Complex, J_001_transformations_of_every_order) {
  for (const Row& row : functions()) {
    if (row.name == "sign") continue;  // its derivative is zero by convention, as in JAX
    const bool binary = row.name == "add" || row.name == "sub" || row.name == "mul" ||
                        row.name == "div" || row.name == "pow";
    expect_transforms(row.f, binary ? std::vector<Shape>{{3}, {3}} : std::vector<Shape>{{3}},
                      row.name);
  }
  expect_transforms([](In x) { return matmul(x[0], x[1]); }, {{2, 3}, {3, 2}}, "matmul");
  expect_transforms([](In x) { return take(x[0], tensor({1, 0, 1}), 0); }, {{2, 2}}, "take");
  expect_transforms(
      [](In x) {
        return broadcast_to(x[0], {3, 2}) * slice_axis(x[1], 1, 3, 0);
      },
      {{2}, {4}}, "shapes");
}

std::vector<int64_t> lengths() { return {1, 2, 3, 4, 5, 6, 7, 8, 15, 31, 37, 64, 74, 100}; }

TEST(Complex, J_031_transforms_of_every_length) {
  std::vector<Row> rows;
  for (int64_t n : lengths()) {
    const std::string at = "/" + std::to_string(n);
    rows.push_back({"fft" + at, [](In x) { return fft::fft(x[0]); }, 1e-5});
    rows.push_back({"ifft" + at, [](In x) { return fft::ifft(x[0]); }});
    rows.push_back({"rfft" + at, [](In x) { return fft::rfft(x[0]); }, 1e-5});
    rows.push_back({"irfft" + at, [n](In x) { return fft::irfft(x[0], n); }});
  }
  expect_cases(rows);
}

TEST(Complex, J_031_norms_axes_and_helpers) {
  std::vector<Row> rows;
  const std::pair<const char*, fft::Norm> norms[] = {{"backward", fft::Norm::kBackward},
                                                     {"ortho", fft::Norm::kOrtho},
                                                     {"forward", fft::Norm::kForward}};
  for (const auto& [text, norm] : norms) {
    const auto add = [&, norm = norm](const char* name, auto f) {
      rows.push_back({std::string(name) + "_" + text, [f, norm](In x) { return f(x[0], norm); }});
    };
    using N = fft::Norm;
    add("fft", [](const Tensor& x, N m) { return fft::fft(x, 6, 0, m); });
    add("ifft", [](const Tensor& x, N m) { return fft::ifft(x, 3, 0, m); });
    add("rfft", [](const Tensor& x, N m) { return fft::rfft(x, {}, 0, m); });
    add("irfft", [](const Tensor& x, N m) { return fft::irfft(x, {}, 0, m); });
    add("hfft", [](const Tensor& x, N m) { return fft::hfft(x, 7, -1, m); });
    add("ihfft", [](const Tensor& x, N m) { return fft::ihfft(x, {}, -1, m); });
    add("fftn", [](const Tensor& x, N m) { return fft::fftn(x, {}, {}, m); });
    add("irfftn", [](const Tensor& x, N m) { return fft::irfftn(x, {{3, 5}}, {{0, 2}}, m); });
  }
  rows.push_back({"fftn", [](In x) { return fft::fftn(x[0], {{4, 2}}, {{2, 0}}); }});
  rows.push_back({"ifftn", [](In x) { return fft::ifftn(x[0], {{4, 2}}); }});
  rows.push_back({"rfftn", [](In x) { return fft::rfftn(x[0]); }});
  rows.push_back({"fft2", [](In x) { return fft::fft2(x[0]); }});
  rows.push_back({"ifft2", [](In x) { return fft::ifft2(x[0]); }});
  rows.push_back({"rfft2", [](In x) { return fft::rfft2(x[0]); }});
  rows.push_back({"irfft2", [](In x) { return fft::irfft2(x[0]); }});
  rows.push_back({"fft_of_real", [](In x) { return fft::fft(x[0]); }});
  rows.push_back({"fftshift/0", [](In x) { return fft::fftshift(x[0]); }});
  rows.push_back({"fftshift/1", [](In x) { return fft::fftshift(x[0], {{1}}); }});
  rows.push_back({"ifftshift", [](In x) { return fft::ifftshift(x[0]); }});
  expect_cases(rows);
  const GoldenFile golden("complex");
  for (int64_t n : {1, 4, 7}) {
    const std::string at = "/" + std::to_string(n) + "/out/0";
    expect_golden(fft::fftfreq(n, 0.5), golden.tensor("fftfreq" + at), 1e-7, "fftfreq");
    expect_golden(fft::rfftfreq(n, 0.5), golden.tensor("rfftfreq" + at), 1e-7, "rfftfreq");
  }
}

TEST(Complex, J_031_transformations_of_transforms) {
  expect_transforms([](In x) { return fft::fft(x[0]); }, {{2, 6}}, "fft");
  expect_transforms([](In x) { return fft::ifftn(x[0]); }, {{3, 4}}, "ifftn");
  expect_transforms([](In x) { return fft::rfftn(real(x[0])) * x[1]; }, {{3, 6}, {3, 4}}, "rfftn");
  expect_transforms([](In x) { return fft::irfftn(x[0], {{3, 7}}); }, {{3, 4}}, "irfftn");
}

TEST(Complex, J_031_long_transforms_and_round_trips) {
  // A sine has one frequency; a prime, an odd and an even length beyond one part of the work.
  for (int64_t n : {4096, 10007, 6561, 30030}) {
    const Tensor t = arange(n).astype(DType::kF64);
    const Tensor x = cos(t * (2 * 3.14159265358979323846 * 5 / static_cast<double>(n)));
    const Tensor y = fft::rfft(x);
    EXPECT_NEAR(real(y)[5].item<double>(), static_cast<double>(n) / 2, 1e-7) << n;
    EXPECT_NEAR(max(abs(y) * not_equal(arange(n / 2 + 1), 5)).item<double>(), 0, 1e-7) << n;
    EXPECT_LT(max(abs(fft::irfft(y, n) - x)).item<double>(), 1e-12) << n;
    const Tensor z = fft::ifft(fft::fft(complex(x, sin(t))));
    EXPECT_LT(max(abs(z - complex(x, sin(t)))).item<double>(), 1e-12) << n;
  }
  const Tensor rows = fft::fft(zeros({0, 4}, DType::kC64));
  EXPECT_EQ(to_string(rows.type()), "c64[0,4]");
  expect_error<ShapeError>([] { fft::fft(zeros({2, 0})); }, "at least one element");
  expect_error<ShapeError>([] { fft::irfft(zeros({2, 1})); }, "irfft: expected at least one");
  expect_error<DTypeError>([] { fft::rfft(zeros({2}, DType::kC64)); }, "rfft: expected a real");
}

TEST(Complex, J_001_elements_literals_and_promotion) {
  const Tensor z = tensor({C64(3, 4), C64(0, -1)});
  EXPECT_EQ(to_string(z.type()), "c64[2]");
  EXPECT_EQ(to_string(z), "Tensor([3+4j, 0-1j], c64[2])");
  EXPECT_EQ(z.to_vector<C128>(), (std::vector<C128>{{3, 4}, {0, -1}}));
  EXPECT_EQ((z[0] * C64(0, 1)).item<C64>(), C64(-4, 3));
  EXPECT_EQ(tensor({{C128(1, 2)}, {C128(3, 0)}}).dtype(), DType::kC128);
  EXPECT_EQ(z.astype(DType::kBool).to_vector<bool>(), (std::vector<bool>{true, true}));
  expect_error<DTypeError>([&] { z.to_vector<float>(); }, "to_vector: c64[2] does not fit f32");
  expect_error<DTypeError>([&] { z.astype(DType::kF32); }, "take real(x)");
  // The literal has as many digits as its partner.
  const Tensor exact = ones({1}, DType::kC128) * C128(0.1, 0.2);
  EXPECT_EQ(exact.item<C128>(), C128(0.1, 0.2));
  const auto type = [](const Tensor& x) { return to_string(x.type()); };
  EXPECT_EQ(type(ones({1}) + C64(0, 1)), "c64[1]");
  EXPECT_EQ(type(ones({1}, DType::kBF16) + C64(0, 1)), "c64[1]");
  EXPECT_EQ(type(ones({1}, DType::kF64) + C64(0, 1)), "c128[1]");
  EXPECT_EQ(type(ones({1}, DType::kF64) + z), "c128[2]");
  EXPECT_EQ(type(ones({1}, DType::kI32) + C64(0, 1)), "~c64[1]");
  EXPECT_EQ(type(z + 1.5), "c64[2]");
  EXPECT_EQ(type(z / ones({1}, DType::kI64)), "c64[2]");
  EXPECT_EQ(type(complex(ones({2}), ones({1}, DType::kF64))), "c128[2]");
}

TEST(Complex, J_001_shapes_of_nothing_and_strided_views) {
  const Tensor x = complex(arange(24).astype(DType::kF64), -arange(24).astype(DType::kF64));
  const Tensor y = transpose(x.reshape(2, 3, 4), {2, 0, 1});
  EXPECT_EQ((y.contiguous()[{1, 1, 2}].item<C128>()), C128(21, -21));
  EXPECT_EQ(sum(y * conj(y)).item<C128>(), C128(8648, 0));
  EXPECT_EQ((flip(y, {0})[{0, 0, 1}].item<C128>()), C128(7, -7));
  EXPECT_EQ((index_set(y, 1, zeros({2, 3}))[{1, 0, 0}].item<C128>()), C128(0, 0));
  for (DType dtype : {DType::kC64, DType::kC128}) {
    const Tensor empty = zeros({0, 3}, dtype);
    for (const auto& f : {exp, sqrt, conj}) EXPECT_EQ(f(empty).type(), empty.type());
    EXPECT_EQ(sum(empty).item<C128>(), C128(0, 0));
    EXPECT_EQ(prod(empty).item<C128>(), C128(1, 0));
    EXPECT_EQ(abs(empty).dtype(), real_dtype_of(dtype));
  }
}

TEST(Complex, J_001_infinities_and_nan) {
  const float inf = std::numeric_limits<float>::infinity(), nan = NAN;
  const Tensor z = tensor({C64(inf, 1), C64(nan, 1), C64(1, nan), C64(1, 2), C64(0, -inf)});
  EXPECT_EQ(is_finite(z).to_vector<bool>(), (std::vector<bool>{false, false, false, true, false}));
  EXPECT_EQ(is_nan(z).to_vector<bool>(), (std::vector<bool>{false, true, true, false, false}));
  EXPECT_EQ(is_inf(z).to_vector<bool>(), (std::vector<bool>{true, false, false, false, true}));
  EXPECT_EQ(equal(z, z).to_vector<bool>(), (std::vector<bool>{true, false, false, true, true}));
  EXPECT_EQ(abs(z)[4].item<float>(), inf);
  EXPECT_EQ((z[3] / C64(0, 0)).item<C64>().real(), inf);
}

TEST(Complex, J_001_what_has_no_meaning_is_refused_by_name) {
  const Tensor z = tensor({C64(3, 4), C64(0, -1)}), x = ones({2});
  const std::pair<const char*, std::function<Tensor()>> refused[] = {
      {"lt:", [&] { return z < x; }},
      {"ge:", [&] { return x >= z; }},
      {"max:", [&] { return maximum(z, x); }},
      {"min:", [&] { return minimum(z, x); }},
      {"floor:", [&] { return floor(z); }},
      {"rem:", [&] { return rem(z, x); }},
      {"atan2:", [&] { return atan2(z, x); }},
      {"erf:", [&] { return erf(z); }},
      {"cbrt:", [&] { return cbrt(z); }},
      {"relu:", [&] { return relu(z); }},
      {"and:", [&] { return z & z; }},
      {"sort:", [&] { return sort(z); }},
      {"argmax:", [&] { return argmax(z); }},
      {"reduce_max:", [&] { return max(z); }},
      {"softmax:", [&] { return softmax(z); }},
      {"complex:", [&] { return complex(z, x); }},
      {"rem:", [&] { return floor_divide(z, x); }},
      {"rem:", [&] { return mod(x, z); }},
      {"relu6:", [&] { return relu6(z); }},
      {"hypot:", [&] { return hypot(z, x); }},
      {"isposinf:", [&] { return isposinf(z); }},
      {"heaviside:", [&] { return heaviside(x * C64(1, 0), x); }},
      {"sort:", [&] { return median(z); }},
      {"lt:", [&] { return searchsorted(x, z); }},
      {"inv:", [&] { return linalg::inv(eye(2) * C64(0, 1)); }},
      {"solve:", [&] { return linalg::solve(eye(2), z); }},
      {"svd:", [&] { return linalg::svdvals(eye(2) * C64(0, 1)); }},
      {"conv_general_dilated:",
       [&] { return conv_general_dilated(z.reshape(1, 2, 1), x.reshape(2, 1, 1)); }}};
  for (const auto& [name, f] : refused) {
    SCOPED_TRACE(name);
    expect_error<DTypeError>([&] { f(); }, name);
    expect_error<DTypeError>([&] { jit([&](const Tensor&) { return f(); })(x); }, name);
  }
}

TEST(Complex, J_061_normal_numbers) {
  const Tensor z = random::normal(random::Key(3), {5}, DType::kC64);
  expect_golden(z, GoldenFile("complex").tensor("normal/out/0"), 1e-6, "normal");
  EXPECT_EQ(random::normal(random::Key(3), {5}, DType::kC128).dtype(), DType::kC128);
}

}  // namespace
}  // namespace linnet::complex_test
